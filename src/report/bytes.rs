//! How numbers of bytes are written.

use std::fmt;

/// A number of bytes as disks count them, such as `3.1 MB`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bytes(pub(crate) u64);

impl fmt::Display for Bytes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
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
}
