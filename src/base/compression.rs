//! How a base image, or a layer in it, is compressed; told by its first bytes.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

/// The formats that Python's `tarfile` takes, and zstd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
    Bzip2,
    Xz,
    Zstd,
}

impl Compression {
    pub(super) fn detect(path: &Path) -> io::Result<Self> {
        let mut start = Vec::new();
        File::open(path)?.take(6).read_to_end(&mut start)?;
        Ok(Self::of(&start))
    }

    /// The format of data that starts with these bytes, six where there are as many.
    pub(super) fn of(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [b'B', b'Z', b'h', ..] => Self::Bzip2,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            _ => Self::None,
        }
    }

    /// The file's content, decompressed.
    pub(super) fn open(self, path: &Path) -> io::Result<Box<dyn Read + Send>> {
        let file = BufReader::with_capacity(128 << 10, File::open(path)?);
        Ok(match self {
            Self::None => Box::new(file),
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(file)),
            Self::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(file)),
            Self::Xz => Box::new(liblzma::bufread::XzDecoder::new_multi_decoder(file)),
            Self::Zstd => Box::new(zstd::Decoder::with_buffer(file)?),
        })
    }

    /// Decompresses what is written to it into `sink`; nothing for formats that layers do not
    /// come in.
    pub(super) fn writer<'a>(
        self,
        sink: impl Write + Send + 'a,
    ) -> Option<Box<dyn Write + Send + 'a>> {
        match self {
            Self::None => Some(Box::new(sink)),
            Self::Gzip => Some(Box::new(flate2::write::MultiGzDecoder::new(sink))),
            Self::Zstd => zstd::stream::write::Decoder::new(sink)
                .ok()
                .map(|decoder| Box::new(decoder.auto_flush()) as _),
            Self::Bzip2 | Self::Xz => None,
        }
    }
}
