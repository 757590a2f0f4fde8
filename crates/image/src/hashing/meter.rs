//! How far hashing is.

use std::fmt::Debug;

/// Is told how much is read to hash layers. Several threads may call at a time.
pub trait Meter: Debug + Sync {
    /// About this many more bytes of layers will be read.
    fn will_read(&self, bytes: u64);

    /// This many more bytes of layers were read.
    fn read(&self, bytes: u64);
}

impl Meter for () {
    fn will_read(&self, _bytes: u64) {}

    fn read(&self, _bytes: u64) {}
}
