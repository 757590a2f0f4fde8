//! Compresses layers into the same bytes whatever the machine, the run and the number of threads.
//!
//! A registry tells blobs apart by the digest of their compressed bytes, so these bytes are a
//! format of ours: [`Settings::format`] names it, with everything that it depends on, and digests
//! are remembered under that name.

mod gzip;
mod zstd;

use std::fmt;
use std::io;

pub use gzip::GZIP_FORMAT;
pub use zstd::ZSTD_FORMAT;

/// How a layer is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Compression {
    /// Not at all.
    None,
    /// One gzip member, which everything reads.
    Gzip,
    /// One zstd frame: smaller and much faster, read by every engine since about 2021.
    Zstd,
}

impl Compression {
    /// The levels that there are, the usual one in the middle; none where there is no choice.
    pub fn levels(self) -> Option<(u8, u8, u8)> {
        match self {
            Self::None => None,
            Self::Gzip => Some((1, gzip::DEFAULT_LEVEL, 9)),
            Self::Zstd => Some((1, zstd::DEFAULT_LEVEL, 19)),
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        })
    }
}

/// A compression and its level: all that the compressed bytes depend on beside the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Settings {
    /// The compression.
    pub compression: Compression,
    /// How much effort it takes.
    pub level: u8,
}

impl Settings {
    /// A compression at its usual level.
    pub fn usual(compression: Compression) -> Self {
        let level = compression.levels().map_or(0, |(_, usual, _)| usual);
        Self { compression, level }
    }

    /// The name of the format that this makes, such as `zstd-1 level 3`; none for no compression.
    pub fn format(self) -> Option<String> {
        let name = match self.compression {
            Compression::None => return None,
            Compression::Gzip => GZIP_FORMAT,
            Compression::Zstd => ZSTD_FORMAT,
        };
        Some(format!("{name} level {}", self.level))
    }
}

/// Compresses one stream.
#[derive(Debug)]
pub enum Encoder {
    /// Hands the bytes on as they are.
    None,
    /// Compresses with gzip.
    Gzip(gzip::Encoder),
    /// Compresses with zstd.
    Zstd(zstd::Encoder),
}

impl Encoder {
    /// An encoder that works on so many threads beside the caller's.
    pub fn new(settings: Settings, threads: usize) -> io::Result<Self> {
        Ok(match settings.compression {
            Compression::None => Self::None,
            Compression::Gzip => Self::Gzip(gzip::Encoder::new(settings.level, threads)),
            Compression::Zstd => Self::Zstd(zstd::Encoder::new(settings.level, threads)?),
        })
    }

    /// Takes more of the data and appends what is compressed by now to `out`.
    pub fn write(&mut self, data: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Self::None => out.extend_from_slice(data),
            Self::Gzip(encoder) => encoder.write(data, out)?,
            Self::Zstd(encoder) => encoder.write(data, out)?,
        }
        Ok(())
    }

    /// Appends the rest.
    pub fn finish(self, out: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Self::None => Ok(()),
            Self::Gzip(encoder) => encoder.finish(out),
            Self::Zstd(encoder) => encoder.finish(out),
        }
    }
}

#[cfg(test)]
mod tests;
