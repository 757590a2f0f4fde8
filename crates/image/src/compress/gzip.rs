//! gzip with libdeflate, one member per block.

use std::io;

use libdeflater::{CompressionLvl, Compressor};

/// Names the bytes that this module makes. Change it with every constant here, and with the pinned
/// versions of `libdeflater` and `libdeflate-sys` if they change any output. This is a format
/// break: the digest of every compressed layer changes, so each is uploaded once more.
pub const GZIP_FORMAT: &str = "gzip-2";

/// The default level, on libdeflate's scale: as small as zlib at its default, in half the time.
pub(super) const DEFAULT_LEVEL: u8 = 3;
/// The level that stores the data unchanged, and the fastest one that compresses.
const STORED: u8 = 0;
const FASTEST: u8 = 1;
/// To find out whether a block is noise, this many stretches spread over it are examined, of this
/// many bytes each. Part of the format.
const STRETCHES: usize = 16;
const STRETCH: usize = 4 << 10;
/// To find out whether the noise repeats, this many bytes at the block's start are compressed. Part
/// of the format.
const SAMPLE: usize = 64 << 10;

/// Compresses a block.
///
/// Deflate takes longer for noise, such as files that are already compressed, than for anything
/// else. A block that is almost all noise is stored, and one that is a quarter noise is compressed
/// at the fastest level, as there is little to gain. Part of the format.
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

/// Whether all byte values are about equally frequent: the sum of their squared counts exceeds the
/// minimum by at most a quarter.
fn is_noise(stretch: &[u8]) -> bool {
    let mut counts = [0_usize; 256];
    for &byte in stretch {
        counts[usize::from(byte)] += 1;
    }
    let squares: usize = counts.iter().map(|count| count * count).sum();
    squares * 256 <= stretch.len() * stretch.len() / 4 * 5
}

/// Whether the noise repeats, so that it compresses well.
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
