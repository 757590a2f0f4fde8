//! Compresses layers into the same bytes whatever the machine, the run and the number of threads.
//!
//! A registry tells blobs apart by the digest of their compressed bytes, so these bytes are a
//! format of ours: [`Settings::format`] names it, with everything that it depends on, and digests
//! are remembered under that name.
//!
//! The data is cut into blocks of [`Settings::block`] bytes. Each is compressed for itself, by a
//! compressor that has seen nothing before, into a whole frame of zstd or member of gzip; one after
//! the other they are a file of that format. So any thread can take any block.

mod encoder;
mod gzip;
mod zstd;

use crate::cache::{Key, KeyBuilder};
use formats::digest::Digest;
use oci::Compression;

pub use encoder::{Encoder, Pool};
pub use gzip::GZIP_FORMAT;
pub use zstd::ZSTD_FORMAT;

/// The lowest, default and highest level of a compression, or `None` if it has no levels.
pub fn levels(compression: Compression) -> Option<(u8, u8, u8)> {
    match compression {
        Compression::None => None,
        Compression::Gzip => Some((1, gzip::DEFAULT_LEVEL, 12)),
        Compression::Zstd => Some((1, zstd::DEFAULT_LEVEL, 19)),
    }
}

/// How a layer is compressed. The same settings make the same bytes of a layer on every machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Settings {
    /// The compression.
    pub compression: Compression,
    /// The level: 1 to 12 for gzip, 1 to 19 for zstd, and without effect for no compression.
    pub level: u8,
}

impl Settings {
    /// A compression at its usual level, which is 3 for gzip and for zstd.
    pub fn usual(compression: Compression) -> Self {
        let level = levels(compression).map_or(0, |(_, usual, _)| usual);
        Self { compression, level }
    }

    /// Bytes of data that are compressed at a time. Part of the format.
    #[doc(hidden)]
    pub fn block(self) -> usize {
        match self.compression {
            Compression::None | Compression::Gzip => 1 << 20,
            Compression::Zstd => zstd::BLOCK,
        }
    }

    /// The key under which the blob that this makes of a layer is remembered; `None` for no
    /// compression.
    #[doc(hidden)]
    pub fn blob_key(self, diff_id: Digest) -> Option<Key> {
        let mut key = KeyBuilder::new("blob");
        key.add(self.format()?.as_bytes());
        key.add(&diff_id.0);
        Some(key.finish())
    }

    /// The name of the format that this makes, such as `zstd-4 level 3`; `None` for no compression.
    #[doc(hidden)]
    pub fn format(self) -> Option<String> {
        let name = match self.compression {
            Compression::None => return None,
            Compression::Gzip => GZIP_FORMAT,
            Compression::Zstd => ZSTD_FORMAT,
        };
        Some(format!("{name} level {}", self.level))
    }
}

#[cfg(test)]
mod tests;
