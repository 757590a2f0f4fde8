//! zstd by the reference library, a frame a block.

use std::io;

use ::zstd::bulk::Compressor;
use ::zstd::zstd_safe::{CParameter, compress_bound};

/// Names the bytes that this module makes. A format break: to be changed with every constant here
/// and with the pinned versions of `zstd` and `zstd-sys` whenever that changes any output, as it
/// changes the digest of every compressed layer and each is uploaded once more.
pub const ZSTD_FORMAT: &str = "zstd-4";

/// Bytes of data in a frame, beyond which nothing is found again: with 1 MiB programs and libraries
/// take 1.8 % more, with 4 MiB 0.1 % less. Memory grows with it.
pub(super) const BLOCK: usize = 3 << 20;
/// The usual level.
pub(super) const DEFAULT_LEVEL: u8 = 3;
/// The size of the table of short matches at the usual level: twice the library's own. Programs
/// and libraries take 0.3 % less, and hardly more time. Both tables of the next level are larger
/// still, for 0.4 % less again, but find no room in a core's cache: a sixth more CPU seconds.
const CHAIN_LOG: u32 = 17;
/// From this level on the tables for a whole block would take up to 48 MiB a thread. With these
/// sizes they take a third of that.
const LARGE_TABLES: u8 = 10;
const SMALLER_LOG: u32 = 21;

/// Compresses a block. Frames say how large they are and have no checksum, as blobs have digests.
///
/// All of the data is handed over at once: when it comes in pieces, the library divides it
/// otherwise, and the result is 0.7 % larger. Its own way of many threads was three times as slow
/// for what does not compress, and half as fast again otherwise, as it copies all data several
/// times.
pub(super) fn compress(data: &[u8], level: u8, out: &mut Vec<u8>) -> io::Result<()> {
    out.clear();
    out.reserve(compress_bound(data.len()));
    let mut compressor = Compressor::new(level.into())?;
    if level == DEFAULT_LEVEL {
        compressor.set_parameter(CParameter::ChainLog(CHAIN_LOG))?;
    } else if level >= LARGE_TABLES {
        compressor.set_parameter(CParameter::HashLog(SMALLER_LOG))?;
        compressor.set_parameter(CParameter::ChainLog(SMALLER_LOG))?;
    }
    compressor.compress_to_buffer(data, out)?;
    Ok(())
}
