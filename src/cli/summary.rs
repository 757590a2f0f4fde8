//! What a command that delivers says at its end.

use std::fmt;
use std::time::Instant;

use crate::report::Bytes;
use delivery::Transfer;

/// How much was moved, of how much.
#[derive(Debug)]
pub(super) struct Summary {
    /// What was moved.
    pub(super) transfer: Transfer,
    /// When the command started.
    pub(super) start: Instant,
}

impl fmt::Display for Summary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { transfer: Transfer { layers, layers_sent, bytes, bytes_sent }, start } = self;
        write!(
            formatter,
            "{layers_sent} of {layers} layers, {} of {}, {:.1} s",
            Bytes(*bytes_sent),
            Bytes(*bytes),
            start.elapsed().as_secs_f64()
        )
    }
}
