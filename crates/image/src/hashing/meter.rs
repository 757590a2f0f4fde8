//! Progress of the hashing.

use std::fmt::Debug;

/// Receives the progress of the hashing. Several threads may call it at a time.
pub trait Meter: Debug + Sync {
    /// Announces about this many more bytes of layers to read.
    fn will_read(&self, bytes: u64);

    /// Everything that will be read has been announced. It may be called several times.
    fn all_announced(&self) {}

    /// Reports this many more bytes of layers as read.
    fn read(&self, bytes: u64);
}

impl Meter for () {
    fn will_read(&self, _bytes: u64) {}

    fn read(&self, _bytes: u64) {}
}
