//! How much of an activity is done, and how to say it.

use std::time::Duration;

use super::units::{Bytes, Seconds};

/// How much is done, out of how much.
#[derive(Debug)]
pub(super) struct Extent {
    /// Bytes done and in total, if the total is known.
    bytes: Option<(u64, u64)>,
    total: Total,
    /// What to say about it, the most important first.
    pub(super) facts: Vec<String>,
}

/// How exact a total is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Total {
    Exact,
    Highest,
    SoFar,
}

impl Extent {
    /// A number of bytes out of a total.
    pub(super) fn of(done: u64, size: u64, total: Total) -> Self {
        let size = if total == Total::Exact { size } else { size.max(done) };
        let done = done.min(size);
        let fact = match total {
            Total::Exact => format!("{} of {}", Bytes(done), Bytes(size)),
            Total::Highest => format!("{} of at most {}", Bytes(done), Bytes(size)),
            Total::SoFar => format!("{} of {} so far", Bytes(done), Bytes(size)),
        };
        Self { bytes: Some((done, size)), total, facts: vec![fact] }
    }

    /// A number of bytes out of an unknown total.
    pub(super) fn unknown(done: u64) -> Self {
        let facts = (done > 0).then(|| Bytes(done).to_string()).into_iter().collect();
        Self { bytes: None, total: Total::Exact, facts }
    }

    /// The fraction that is done, from 0 to 1.
    pub(super) fn share(&self) -> Option<f64> {
        let (done, size) = self.bytes?;
        #[expect(clippy::cast_precision_loss, reason = "a bar has few characters")]
        let share = done as f64 / size as f64;
        Some(share.min(1.0))
    }

    /// Adds the remaining time, if the total allows for that and it is a second or more, and the
    /// rate.
    pub(super) fn add_pace(&mut self, elapsed: Duration) {
        let Some((done, size)) = self.bytes else { return };
        #[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
        let rate = done as f64 / elapsed.as_secs_f64();
        if rate < 1.0 {
            return;
        }
        #[expect(
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "it is not negative"
        )]
        let (bytes, left) = (rate as u64, (size.saturating_sub(done) as f64 / rate) as u64);
        // The beginning says little about the rest.
        let is_known = self.total != Total::SoFar && done >= size / 20;
        if is_known && left > 0 {
            let at_most = if self.total == Total::Highest { "at most " } else { "" };
            self.facts.push(format!("{at_most}{} left", Seconds(Duration::from_secs(left))));
        }
        self.facts.push(format!("{}/s", Bytes(bytes)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_is_shown_if_it_is_a_second_or_more() {
        let second = Duration::from_secs(1);
        for (done, size, total, expected) in [
            (1000, 4000, Total::Exact, &["3 s left", "1.0 kB/s"][..]),
            (1000, 4000, Total::Highest, &["at most 3 s left", "1.0 kB/s"]),
            (1000, 4000, Total::SoFar, &["1.0 kB/s"]),
            (1000, 1999, Total::Exact, &["1.0 kB/s"]),
            (1000, 1000, Total::Exact, &["1.0 kB/s"]),
            (1000, 40_000, Total::Exact, &["1.0 kB/s"]),
            (0, 1000, Total::Exact, &[]),
        ] {
            let mut extent = Extent::of(done, size, total);
            extent.add_pace(second);
            assert_eq!(extent.facts[1..], *expected, "{done} of {size}");
        }
    }
}
