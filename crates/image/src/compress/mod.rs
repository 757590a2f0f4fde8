//! Compresses layers into the same bytes regardless of the machine, the run and the number of
//! threads.
//!
//! Registries identify blobs by the digest of their compressed bytes, so these bytes are a format
//! of this project: [`Settings::format`] names it, with everything that it depends on, and digests
//! are remembered under that name.
//!
//! The data is split into blocks of [`Settings::block`] bytes. Each is compressed independently
//! into a complete zstd frame or gzip member, and their concatenation is a valid file of that
//! format. So any thread can compress any block.

mod encoder;
mod gzip;
mod zstd;

use crate::cache::{Key, KeyBuilder};
use formats::digest::Digest;
use oci::Compression;

pub use encoder::{Encoder, Pool};
pub use gzip::GZIP_FORMAT;
pub use zstd::ZSTD_FORMAT;

/// The lowest, default and highest level of a compression; `None` if it has no levels.
pub fn levels(compression: Compression) -> Option<(u8, u8, u8)> {
    match compression {
        Compression::None => None,
        Compression::Gzip => Some((1, gzip::DEFAULT_LEVEL, 12)),
        Compression::Zstd => Some((1, zstd::DEFAULT_LEVEL, 19)),
    }
}

/// How a layer is compressed. The same settings turn a layer into the same bytes on every machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Settings {
    /// The compression.
    pub compression: Compression,
    /// The level: 1 to 12 for gzip, 1 to 19 for zstd; ignored without compression.
    pub level: u8,
}

impl Settings {
    /// A compression at its default level, which is 3 for gzip and zstd.
    pub fn usual(compression: Compression) -> Self {
        let level = levels(compression).map_or(0, |(_, usual, _)| usual);
        Self { compression, level }
    }

    /// The block size in bytes. Part of the format.
    #[doc(hidden)]
    pub fn block(self) -> usize {
        match self.compression {
            Compression::None | Compression::Gzip => 1 << 20,
            Compression::Zstd => zstd::BLOCK,
        }
    }

    /// The cache key of the blob that a layer becomes with these settings; `None` without
    /// compression.
    #[doc(hidden)]
    pub fn blob_key(self, diff_id: Digest) -> Option<Key> {
        let mut key = KeyBuilder::new("blob");
        key.add(self.format()?.as_bytes());
        key.add(&diff_id.0);
        Some(key.finish())
    }

    /// The name of the resulting format, such as `zstd-4 level 3`; `None` without compression.
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
