//! The compression of a base image or of a layer in it, detected from the first bytes.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use liblzma::stream::Stream;
use oci::Compression;
use zstd::stream::{raw, zio};

/// The limit for a decompressor's window, whose size the archive chooses: `xz -9` needs half of it,
/// `zstd --ultra -22` all.
const MAX_WINDOW: u64 = 128 << 20;
/// Accepts several compressed streams in a row (`LZMA_CONCATENATED`).
const CONCATENATED: u32 = 0x08;

/// The formats that Python's `tarfile` reads, and zstd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    None,
    Gzip,
    Bzip2,
    Xz,
    Zstd,
}

impl Codec {
    pub(crate) fn detect(path: &Path) -> io::Result<Self> {
        let mut start = Vec::new();
        // Opening a pipe would wait for a writer.
        if !path.metadata()?.is_file() {
            return Err(io::Error::other("it is not a file"));
        }
        File::open(path)?.take(6).read_to_end(&mut start)?;
        Ok(Self::of(&start))
    }

    /// The format of data that starts with these bytes: six of them, if it has that many.
    pub(crate) fn of(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [b'B', b'Z', b'h', ..] => Self::Bzip2,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            _ => Self::None,
        }
    }

    /// The compression of a blob in this format; `None` if engines do not support it.
    pub(super) fn compression(self) -> Option<Compression> {
        match self {
            Self::None => Some(Compression::None),
            Self::Gzip => Some(Compression::Gzip),
            Self::Zstd => Some(Compression::Zstd),
            Self::Bzip2 | Self::Xz => None,
        }
    }

    /// A reader of the decompressed content of `file`.
    pub(crate) fn reader<'a>(
        self,
        file: impl Read + Send + 'a,
    ) -> io::Result<Box<dyn Read + Send + 'a>> {
        let file = BufReader::with_capacity(128 << 10, file);
        Ok(match self {
            Self::None => Box::new(file),
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(file)),
            Self::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(file)),
            Self::Xz => {
                let stream = Stream::new_auto_decoder(MAX_WINDOW, CONCATENATED)?;
                Box::new(liblzma::bufread::XzDecoder::new_stream(file, stream))
            }
            Self::Zstd => {
                let mut decoder = zstd::Decoder::with_buffer(file)?;
                decoder.window_log_max(MAX_WINDOW.ilog2())?;
                Box::new(decoder)
            }
        })
    }

    /// A writer that decompresses into `sink`; `None` for formats that layers do not use.
    pub(super) fn writer<W: Write>(self, sink: W) -> io::Result<Option<Decoder<W>>> {
        Ok(Some(match self {
            Self::None => Decoder::None(sink),
            Self::Gzip => Decoder::Gzip(Box::new(flate2::write::MultiGzDecoder::new(sink))),
            Self::Zstd => Decoder::Zstd(zio::Writer::new(sink, raw::Decoder::new()?)),
            Self::Bzip2 | Self::Xz => return Ok(None),
        }))
    }
}

/// Decompresses what is written to it.
pub(super) enum Decoder<W: Write> {
    None(W),
    Gzip(Box<flate2::write::MultiGzDecoder<W>>),
    Zstd(zio::Writer<W, raw::Decoder<'static>>),
}

impl<W: Write> Decoder<W> {
    pub(super) fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::None(sink) => sink.write_all(bytes),
            Self::Gzip(decoder) => decoder.write_all(bytes),
            Self::Zstd(decoder) => decoder.write_all(bytes),
        }
    }

    /// Writes the remaining bytes and returns the sink. Truncated input is an error.
    pub(super) fn finish(self) -> io::Result<W> {
        match self {
            Self::None(mut sink) => sink.flush().map(|()| sink),
            Self::Gzip(decoder) => decoder.finish(),
            Self::Zstd(mut decoder) => {
                decoder.finish()?;
                Ok(decoder.into_inner().0)
            }
        }
    }
}

/// Replaces a decoder's bare complaint about too much memory with a better message.
pub(super) fn explain(error: io::Error) -> io::Error {
    // The word is in the messages of both xz and zstd.
    if !error.to_string().contains("memory") {
        return error;
    }
    let most = MAX_WINDOW >> 20;
    io::Error::other(format!(
        "decompressing it takes over {most} MiB of memory; compress it again, for example with \
         `xz -9` or `zstd -19`"
    ))
}
