//! gzip by libdeflate, a member a block.

use std::io;

use libdeflater::{CompressionLvl, Compressor};

/// Names the bytes that this module makes. A format break: to be changed with every constant here
/// and with the pinned versions of `libdeflater` and `libdeflate-sys` whenever that changes any
/// output, as it changes the digest of every compressed layer and each is uploaded once more.
pub const GZIP_FORMAT: &str = "gzip-2";

/// The usual level, of libdeflate's own: as small as zlib at its usual one, in half the time.
pub(super) const DEFAULT_LEVEL: u8 = 3;
/// The level that stores the data as it is.
const STORED: u8 = 0;
/// Whether a block looks like noise is asked of so many bytes from all over it, and whether it is
/// of as many at its start. Part of the format.
const SAMPLE: usize = 64 << 10;
/// Bytes that stand side by side in the first sample. Part of the format.
const STRETCH: usize = 4 << 10;

/// Compresses a block.
///
/// What is noise, such as files that are compressed already, is stored as it is: deflate takes
/// longer for it than for anything else.
pub(super) fn compress(data: &[u8], level: u8, out: &mut Vec<u8>) -> io::Result<()> {
    let level = if is_noise(data)? { STORED } else { level };
    compress_at(data, level, out)
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

fn is_noise(data: &[u8]) -> io::Result<bool> {
    if !looks_like_noise(data) {
        return Ok(false);
    }
    // Noise that is the same as noise before it is not what it looked like.
    let sample = &data[..data.len().min(SAMPLE)];
    let mut packed = Vec::new();
    compress_at(sample, 1, &mut packed)?;
    Ok(packed.len() >= sample.len() / 16 * 15)
}

/// Whether all bytes are about as frequent: the sum of the squares of their numbers is within a
/// sixteenth of the least that it can be.
fn looks_like_noise(data: &[u8]) -> bool {
    let step = (data.len() / (SAMPLE / STRETCH)).max(STRETCH);
    let mut counts = [0_u64; 256];
    for stretch in data.chunks(step) {
        for &byte in &stretch[..stretch.len().min(STRETCH)] {
            counts[usize::from(byte)] += 1;
        }
    }
    let squares: u64 = counts.iter().map(|count| count * count).sum();
    let length: u64 = counts.iter().sum();
    squares * 256 <= length * length / 16 * 17
}
