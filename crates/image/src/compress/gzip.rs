//! gzip by libdeflate, a member a block.

use std::io;

use libdeflater::{CompressionLvl, Compressor};

/// Names the bytes that this module makes. A format break: to be changed with every constant here
/// and with the pinned versions of `libdeflater` and `libdeflate-sys` whenever that changes any
/// output, as it changes the digest of every compressed layer and each is uploaded once more.
pub const GZIP_FORMAT: &str = "gzip-2";

/// The usual level, of libdeflate's own: as small as zlib at its usual one, in half the time.
pub(super) const DEFAULT_LEVEL: u8 = 3;
/// The level that stores the data as it is, and the fastest one that compresses.
const STORED: u8 = 0;
const FASTEST: u8 = 1;
/// Whether a block is noise is asked of so many stretches from all over it, and whether it is the
/// same noise again of so many bytes at its start. Part of the format.
const STRETCHES: usize = 16;
const STRETCH: usize = 4 << 10;
const SAMPLE: usize = 64 << 10;

/// Compresses a block.
///
/// Deflate takes longer for noise, such as files that are compressed already, than for anything
/// else. A block of hardly anything else is stored as it is, and one of which a quarter is noise
/// gets less effort, as little is to be gained. Part of the format.
pub(super) fn compress(data: &[u8], level: u8, out: &mut Vec<u8>) -> io::Result<()> {
    let stretches = data.chunks((data.len() / STRETCHES).max(STRETCH));
    let all = stretches.len();
    let noise = stretches.filter(|stretch| is_noise(&stretch[..stretch.len().min(STRETCH)]));
    let level = match noise.count() {
        noise if noise * 16 >= all * 15 && !repeats(data)? => STORED,
        noise if noise * 4 >= all => FASTEST,
        _ => level,
    };
    compress_at(data, level, out)
}

/// Whether all bytes are about as frequent: the sum of the squares of their numbers is within a
/// quarter of the least that it can be.
fn is_noise(stretch: &[u8]) -> bool {
    let mut counts = [0_usize; 256];
    for &byte in stretch {
        counts[usize::from(byte)] += 1;
    }
    let squares: usize = counts.iter().map(|count| count * count).sum();
    squares * 256 <= stretch.len() * stretch.len() / 4 * 5
}

/// Whether noise is the same as noise before it, so that it can be compressed.
fn repeats(data: &[u8]) -> io::Result<bool> {
    let sample = &data[..data.len().min(SAMPLE)];
    let mut packed = Vec::new();
    compress_at(sample, FASTEST, &mut packed)?;
    Ok(packed.len() < sample.len() / 16 * 15)
}

fn compress_at(data: &[u8], level: u8, out: &mut Vec<u8>) -> io::Result<()> {
    let level = CompressionLvl::new(level.into());
    let level = level.map_err(|_| io::Error::other("gzip has no such level"))?;
    let mut compressor = Compressor::new(level);
    out.resize(compressor.gzip_compress_bound(data.len()), 0);
    let size = compressor.gzip_compress(data, out).map_err(io::Error::other)?;
    out.truncate(size);
    Ok(())
}
