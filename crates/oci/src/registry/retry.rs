//! How often, and after what pause, to retry.
//!
//! This is the only policy: finding the scheme, tokens, calls and uploads all use [`Attempts`]. The
//! error knows whether trying again may help.

use std::thread;
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::RETRY_AFTER;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

use super::RegistryError;

/// The number of attempts before a failure is final.
const ATTEMPTS: u32 = 5;
/// The pause after the first attempt, which doubles after each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause, even if a registry asks for more.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The attempts left for one task, however many requests it takes: a request with the login that it
/// needs, or an upload from start to end.
#[derive(Debug, Default)]
pub struct Attempts {
    failed: u32,
}

impl Attempts {
    /// Waits for the next attempt if one may help. Otherwise returns the failure, which counts the
    /// attempts if there were several.
    pub fn again(&mut self, error: RegistryError, may_help: bool) -> Result<(), RegistryError> {
        if !may_help {
            return Err(error);
        }
        self.failed += 1;
        if self.failed >= ATTEMPTS {
            return Err(RegistryError::Repeated { attempts: ATTEMPTS, error: error.into() });
        }
        // A fuzzer should not wait.
        if !cfg!(fuzzing) {
            thread::sleep(pause(self.failed, error.retry_after()));
        }
        Ok(())
    }

    /// Restores all attempts after progress was made.
    pub fn renew(&mut self) {
        self.failed = 0;
    }

    /// Repeats the work until it succeeds, fails permanently, or fails too often.
    pub(super) fn repeat<T>(
        &mut self,
        work: impl FnMut(&mut Self) -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        self.repeat_if(RegistryError::is_passing, work)
    }

    /// Like `repeat`, for work where a retry may help after other failures too.
    pub(super) fn repeat_if<T>(
        &mut self,
        may_help: impl Fn(&RegistryError) -> bool,
        mut work: impl FnMut(&mut Self) -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        loop {
            match work(self) {
                Err(error) => {
                    let may_help = may_help(&error);
                    self.again(error, may_help)?;
                }
                done => return done,
            }
        }
    }
}

/// The pause after this many failures. If the registry asks for a longer one, that applies, up to a
/// limit. Our own pause is partly random, so that clients which failed together do not all come
/// back together.
fn pause(failed: u32, asked: Option<Duration>) -> Duration {
    let pause = FIRST_PAUSE.saturating_mul(1 << failed.saturating_sub(1).min(10));
    let pause = pause.mul_f64(0.5 + chance() / 2.0);
    pause.max(asked.unwrap_or_default()).min(LONGEST_PAUSE)
}

/// The pause that an answer's `Retry-After` asks for, in seconds or until a date.
pub(super) fn asked(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = DateTimeParser::new().parse_timestamp(text).ok()?;
    // A date in the past means no wait.
    Some(date.duration_since(Timestamp::now()).try_into().unwrap_or_default())
}

/// A number between 0 and 1 that varies between clients.
fn chance() -> f64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    f64::from(now.subsec_nanos() ^ std::process::id().wrapping_mul(7919)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::StatusCode;

    #[test]
    fn pauses_grow_within_bounds() {
        for attempt in 1..40 {
            let expected =
                FIRST_PAUSE.saturating_mul(1 << (attempt - 1).min(10)).min(LONGEST_PAUSE);
            let found = pause(attempt, None);
            assert!(found <= expected && found >= expected / 2, "{attempt}: {found:?}");
        }
        assert_eq!(pause(1, Some(Duration::from_secs(3))), Duration::from_secs(3));
        assert_eq!(pause(1, Some(Duration::from_secs(1 << 40))), LONGEST_PAUSE);
        assert!(pause(4, Some(Duration::ZERO)) > FIRST_PAUSE);
    }

    #[test]
    fn what_several_requests_fail_at_is_counted_together() {
        let refused = |status| RegistryError::Refused {
            what: String::new(),
            status: StatusCode::from_u16(status).unwrap(),
            message: String::new(),
            retry_after: None,
        };
        let (mut attempts, mut outer, mut inner) = (Attempts::default(), 0, 0);
        let result: Result<(), _> = attempts.repeat(|attempts| {
            outer += 1;
            attempts.repeat(|_| {
                inner += 1;
                Err(refused(503))
            })
        });
        assert_eq!((outer, inner), (1, ATTEMPTS));
        let error = result.unwrap_err();
        assert!(!error.is_passing() && error.to_string().contains("gave up after 5 attempts"));
        // Permanent failures are neither repeated nor counted.
        let mut attempts = Attempts::default();
        let error = attempts.repeat(|_| -> Result<(), _> { Err(refused(404)) }).unwrap_err();
        assert!(matches!(error, RegistryError::Refused { status: StatusCode::NOT_FOUND, .. }));
        assert_eq!(attempts.failed, 0);
        // Unless the caller knows better.
        let mut tried = 0;
        let result = attempts.repeat_if(RegistryError::is_lost_upload, |_| {
            tried += 1;
            if tried < 3 { Err(refused(404)) } else { Ok(tried) }
        });
        assert_eq!((result.unwrap(), attempts.failed), (3, 2));
    }

    #[test]
    fn registries_ask_for_seconds_or_a_date() {
        let found = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("retry-after", text.parse().unwrap());
            asked(&headers)
        };
        assert_eq!(found(" 7 "), Some(Duration::from_secs(7)));
        assert_eq!(found("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        let long = Duration::from_secs(20 * 365 * 86_400);
        assert!(found("Mon, 06 Nov 2090 08:49:37 GMT").unwrap() > long);
        for bad in ["", "-1", "soon", "99999999999999999999"] {
            assert_eq!(found(bad), None, "{bad}");
        }
    }
}
