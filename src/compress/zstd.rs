//! zstd by the reference library, a frame a block.

use std::io;

use ::zstd::bulk::Compressor;
use ::zstd::zstd_safe::compress_bound;

/// Names the bytes that this module makes. A format break: to be changed with every constant here
/// and with the pinned versions of `zstd` and `zstd-sys` whenever that changes any output, as it
/// changes the digest of every compressed layer and each is uploaded once more.
pub const ZSTD_FORMAT: &str = "zstd-2";

/// The usual level: smaller than gzip at its usual one, and three times as fast.
pub(super) const DEFAULT_LEVEL: u8 = 2;

/// Compresses a block. Frames say how large they are and have no checksum, as blobs have digests.
///
/// The library's own way of many threads was three times as slow for what does not compress, and
/// half as fast again otherwise, as it copies all data several times.
pub(super) fn compress(data: &[u8], level: u8, out: &mut Vec<u8>) -> io::Result<()> {
    out.clear();
    out.reserve(compress_bound(data.len()));
    Compressor::new(level.into())?.compress_to_buffer(data, out)?;
    Ok(())
}
