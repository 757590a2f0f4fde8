//! What a command that delivers says at its end.

use std::fmt;
use std::time::Instant;

use crate::report::Bytes;
use delivery::sink::Written;

/// How much was moved, of how much.
#[derive(Debug)]
pub(super) struct Summary {
    /// What was moved.
    pub(super) written: Written,
    /// All layers of the image.
    pub(super) layers: usize,
    /// All their bytes.
    pub(super) size: u64,
    /// When the command started.
    pub(super) start: Instant,
}

impl fmt::Display for Summary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { written, layers, size, start } = self;
        write!(
            formatter,
            "{} of {layers} layers, {} of {}, {:.1} s",
            written.layers,
            Bytes(written.bytes),
            Bytes(*size),
            start.elapsed().as_secs_f64()
        )
    }
}
