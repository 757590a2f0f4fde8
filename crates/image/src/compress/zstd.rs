//! zstd with the reference library, one frame per block.

use std::io;

use ::zstd::bulk::Compressor;
use ::zstd::zstd_safe::{CParameter, compress_bound};

/// Names the bytes that this module makes. Change it with every constant here, and with the pinned
/// versions of `zstd` and `zstd-sys` if they change any output. This is a format break: the digest
/// of every compressed layer changes, so each is uploaded once more.
pub const ZSTD_FORMAT: &str = "zstd-4";

/// Bytes of data in a frame. Repetitions are not found across frames: with 1 MiB, programs and
/// libraries take 1.8 % more, with 4 MiB 0.1 % less. Memory use grows with it.
pub(super) const BLOCK: usize = 3 << 20;
/// The default level.
pub(super) const DEFAULT_LEVEL: u8 = 3;
/// The size of the table of short matches at the default level: twice the library's own. Programs
/// and libraries become 0.3 % smaller in hardly more time. With both tables of the next level,
/// which are larger still, they become 0.4 % smaller again, but the tables do not fit into a core's
/// cache, which costs a sixth more CPU time.
const CHAIN_LOG: u32 = 17;
/// From this level on, the tables for a whole block would take up to 48 MiB per thread. With these
/// sizes they take a third of that.
const LARGE_TABLES: u8 = 10;
const SMALLER_LOG: u32 = 21;

/// Compresses a block. Frames state their size and have no checksum, as blobs have digests.
///
/// The data is passed all at once: if it is passed in pieces, the library splits it differently,
/// and the result is 0.7 % larger. The library's own multithreading took three times as long for
/// incompressible data and half as long again otherwise, as it copies all data several times.
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
