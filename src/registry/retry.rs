//! How often, and after what time, something is tried again.

use std::time::{Duration, SystemTime};

use ureq::http::HeaderMap;

/// Times that a request is made in all before its failure is final.
pub const ATTEMPTS: u32 = 5;
/// The pause after the first attempt, which doubles after each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause, also when a registry asks for more.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The pause before the attempt after this one, counted from 1. What the registry asks for holds,
/// within bounds; otherwise a part of the pause is left to chance, so that many clients that
/// failed together do not come back together.
pub fn pause(attempt: u32, asked: Option<Duration>) -> Duration {
    if let Some(asked) = asked {
        return asked.min(LONGEST_PAUSE);
    }
    let pause = FIRST_PAUSE.saturating_mul(1 << attempt.saturating_sub(1).min(10));
    pause.min(LONGEST_PAUSE).mul_f64(0.5 + chance() / 2.0)
}

/// The pause that an answer's `Retry-After` asks for, in seconds; its other form, a date, is
/// hardly in use.
pub(super) fn asked(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("retry-after")?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

/// Something between 0 and 1 that differs from one client to the next.
fn chance() -> f64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    f64::from(now.subsec_nanos() ^ std::process::id().wrapping_mul(7919)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

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
    }
}
