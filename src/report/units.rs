//! Formats numbers.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

/// A number of bytes in decimal units, such as `3.1 MB`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bytes(pub(crate) u64);

impl Display for Bytes {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        #[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
        let bytes = self.0 as f64;
        let units = [(1e9, "GB"), (1e6, "MB"), (1e3, "kB")];
        match units.into_iter().find(|(unit, _)| bytes >= *unit) {
            None => write!(formatter, "{} bytes", self.0),
            Some((unit, name)) => {
                let value = bytes / unit;
                write!(formatter, "{value:.*} {name}", usize::from(value < 99.5))
            }
        }
    }
}

/// A duration in whole seconds, such as `2 min 5 s`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seconds(pub(crate) Duration);

impl Display for Seconds {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        match (seconds / 86400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60) {
            (0, 0, 0, seconds) => write!(formatter, "{seconds} s"),
            (0, 0, minutes, seconds) => write!(formatter, "{minutes} min {seconds} s"),
            (0, hours, minutes, _) => write!(formatter, "{hours} h {minutes} min"),
            (days, hours, ..) => write!(formatter, "{days} d {hours} h"),
        }
    }
}

/// A number of things, such as `3 layers`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    let plural = match noun.strip_suffix('y') {
        _ if number == 1 => noun.to_owned(),
        Some(stem) => format!("{stem}ies"),
        None => format!("{noun}s"),
    };
    format!("{number} {plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_as_disks_count_them() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (999, "999 bytes"),
            (10_240, "10.2 kB"),
            (3_100_000, "3.1 MB"),
            (789_900_000, "790 MB"),
            (1_234_000_000, "1.2 GB"),
        ] {
            assert_eq!(Bytes(bytes).to_string(), text);
        }
    }

    #[test]
    fn times_have_two_units() {
        for (seconds, text) in
            [(0, "0 s"), (59, "59 s"), (125, "2 min 5 s"), (3600, "1 h 0 min"), (90_000, "1 d 1 h")]
        {
            assert_eq!(Seconds(Duration::from_secs(seconds)).to_string(), text);
        }
    }

    #[test]
    fn one_thing_is_singular() {
        let counts = [(0, "layer"), (1, "layer"), (2, "entry"), (1, "entry")];
        let counts = counts.map(|(number, noun)| count(number, noun));
        assert_eq!(counts, ["0 layers", "1 layer", "2 entries", "1 entry"]);
    }
}
