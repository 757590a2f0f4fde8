//! zstd by the reference library, a frame a block.

use std::io;

use ::zstd::bulk::Compressor;
use ::zstd::zstd_safe::{CParameter, compress_bound};

/// Names the bytes that this module makes. A format break: to be changed with every constant here
/// and with the pinned versions of `zstd` and `zstd-sys` whenever that changes any output, as it
/// changes the digest of every compressed layer and each is uploaded once more.
pub const ZSTD_FORMAT: &str = "zstd-3";

/// The usual level: smaller than gzip at its usual one, and three times as fast.
pub(super) const DEFAULT_LEVEL: u8 = 2;
/// The size of the table of what came before, at the usual level: half of the library's own, so
/// that it stays in a core's cache. That is a seventh faster and 1 % larger, and both faster and
/// smaller than the next lower level.
const HASH_LOG: u32 = 15;

/// Compresses a block. Frames say how large they are and have no checksum, as blobs have digests.
///
/// The library's own way of many threads was three times as slow for what does not compress, and
/// half as fast again otherwise, as it copies all data several times.
pub(super) fn compress(data: &[u8], level: u8, out: &mut Vec<u8>) -> io::Result<()> {
    out.clear();
    out.reserve(compress_bound(data.len()));
    let mut compressor = Compressor::new(level.into())?;
    if level == DEFAULT_LEVEL {
        compressor.set_parameter(CParameter::HashLog(HASH_LOG))?;
    }
    compressor.compress_to_buffer(data, out)?;
    Ok(())
}
