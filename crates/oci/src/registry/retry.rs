//! How often, and after what time, something is tried again.
//!
//! There is no other policy: the search for the scheme, tokens, calls and uploads all go through
//! [`Attempts`]. What may go better the next time is the error's to know.

use std::thread;
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::RETRY_AFTER;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

use super::RegistryError;

/// Times that something is tried in all before its failure is final.
const ATTEMPTS: u32 = 5;
/// The pause after the first attempt, which doubles after each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause, also when a registry asks for more.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The attempts that are left for one thing, however many requests it takes: a request with the
/// login that it needs, or an upload from its beginning to its end.
#[derive(Debug, Default)]
pub struct Attempts {
    failed: u32,
}

impl Attempts {
    /// Waits until the next attempt after a failure that another one may mend; else the failure,
    /// as that of all attempts where there were several.
    pub fn again(&mut self, error: RegistryError, may_help: bool) -> Result<(), RegistryError> {
        if !may_help {
            return Err(error);
        }
        self.failed += 1;
        if self.failed >= ATTEMPTS {
            return Err(RegistryError::Repeated { attempts: ATTEMPTS, error: error.into() });
        }
        // A fuzzer has no time for it.
        if !cfg!(fuzzing) {
            thread::sleep(pause(self.failed, error.retry_after()));
        }
        Ok(())
    }

    /// Something got on, so that all attempts are left.
    pub fn renew(&mut self) {
        self.failed = 0;
    }

    /// Does something until it is done, or fails in a way that does not pass, or too often.
    pub(super) fn repeat<T>(
        &mut self,
        work: impl FnMut(&mut Self) -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        self.repeat_if(RegistryError::is_passing, work)
    }

    /// The same for something that another attempt may also mend after other failures.
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

/// The pause after this many failures. A longer one that the registry asks for holds, within bounds;
/// of our own a part is left to chance, so that many clients that failed together do not come back
/// together.
fn pause(failed: u32, asked: Option<Duration>) -> Duration {
    let pause = FIRST_PAUSE.saturating_mul(1 << failed.saturating_sub(1).min(10));
    let pause = pause.mul_f64(0.5 + chance() / 2.0);
    pause.max(asked.unwrap_or_default()).min(LONGEST_PAUSE)
}

/// The pause that an answer's `Retry-After` asks for: in seconds, or until a date.
pub(super) fn asked(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = DateTimeParser::new().parse_timestamp(text).ok()?;
    // A date in the past is one that need not be waited for.
    Some(date.duration_since(Timestamp::now()).try_into().unwrap_or_default())
}

/// Something between 0 and 1 that differs from one client to the next.
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
        // What does not pass is neither repeated nor counted.
        let mut attempts = Attempts::default();
        let error = attempts.repeat(|_| -> Result<(), _> { Err(refused(404)) }).unwrap_err();
        assert!(matches!(error, RegistryError::Refused { status: StatusCode::NOT_FOUND, .. }));
        assert_eq!(attempts.failed, 0);
        // But where the caller knows better.
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
