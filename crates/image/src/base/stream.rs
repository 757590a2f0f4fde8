//! Reads the layers of a base image.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use super::codec::{self, Codec, Decoder};
use super::{BaseError, BaseLayer};
use crate::members::Source;
use formats::digest::HashWriter;

/// The number of bytes needed to detect a compression.
const MAGIC: usize = 6;

/// Reads one layer, then leaves the archive to the next reader at its current position, so that a
/// compressed archive is decompressed once if its layers are read in order.
pub struct BaseStream<'a> {
    layer: &'a BaseLayer,
    /// `None` at the layer's end.
    archive: Option<Decompressed>,
    /// Takes the stored bytes and hashes their decompressed content. `None` before the first bytes,
    /// which tell the compression.
    content: Option<Decoder<HashWriter>>,
    /// Bytes still to be read.
    left: u64,
}

impl<'a> BaseStream<'a> {
    pub(super) fn new(layer: &'a BaseLayer) -> Result<Self, BaseError> {
        let (source, offset) = (&*layer.archive, layer.member.offset);
        let spare = source.spare.lock().take();
        let archive = match spare {
            Some(mut archive) if archive.position <= offset => {
                archive.skip_to(offset).map(|()| archive)
            }
            _ => Decompressed::open_at(&source.path, source.codec, offset),
        };
        let archive = archive.map_err(|error| unreadable(layer, error))?;
        Ok(Self { layer, archive: Some(archive), content: None, left: layer.member.size })
    }

    /// Appends to `out` until it holds about `limit` bytes or the layer ends; returns whether there
    /// were any bytes. The last bytes are only returned if the layer matches the base's config.
    pub fn fill(&mut self, out: &mut Vec<u8>, limit: usize) -> Result<bool, BaseError> {
        let layer = self.layer;
        let Some(archive) = &mut self.archive else { return Ok(false) };
        let start = out.len();
        let wanted = limit.saturating_sub(start).max(MAGIC) as u64;
        let error = |error| unreadable(layer, error);
        archive.read_onto(out, wanted.min(self.left)).map_err(error)?;
        let bytes = &out[start..];
        let content = if let Some(content) = &mut self.content {
            content
        } else {
            // The layer itself may be compressed; the diffID is the digest of its content.
            let codec = Codec::of(&bytes[..bytes.len().min(MAGIC)]);
            let writer = codec.writer(HashWriter::default()).map_err(error)?;
            self.content.insert(writer.ok_or_else(|| layer.unusable())?)
        };
        content.write_all(bytes).map_err(error)?;
        self.left -= bytes.len() as u64;
        if self.left > 0 && bytes.is_empty() {
            return Err(error(io::ErrorKind::UnexpectedEof.into()));
        }
        let has_bytes = !bytes.is_empty();
        if self.left == 0 {
            self.finish()?;
        }
        Ok(has_bytes)
    }

    /// Verifies the layer and leaves the archive to the next one.
    fn finish(&mut self) -> Result<(), BaseError> {
        let content = self.content.take().map_or(Ok(HashWriter::default()), Decoder::finish);
        let found = content.map_err(|error| unreadable(self.layer, error))?.finish();
        *self.layer.archive.spare.lock() = self.archive.take();
        if found == self.layer.diff_id { Ok(()) } else { Err(self.layer.mismatch(found)) }
    }
}

impl fmt::Debug for BaseStream<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("BaseStream");
        shown.field("layer", &self.layer).field("left", &self.left).finish_non_exhaustive()
    }
}

fn unreadable(layer: &BaseLayer, source: io::Error) -> BaseError {
    BaseError::Read { path: layer.archive.path.clone(), source }
}

/// An archive's content, read from start to end.
pub struct Decompressed {
    reader: Reader,
    position: u64,
}

enum Reader {
    /// An uncompressed file, in which unneeded parts can be skipped, and its length.
    Plain(BufReader<File>, u64),
    Compressed(Box<dyn Read + Send>),
}

impl Decompressed {
    pub(super) fn open_at(path: &Path, codec: Codec, position: u64) -> io::Result<Self> {
        let file = File::open(path)?;
        let reader = if codec == Codec::None {
            let length = file.metadata()?.len();
            Reader::Plain(BufReader::new(file), length)
        } else {
            Reader::Compressed(codec.reader(file)?)
        };
        let mut archive = Self { reader, position: 0 };
        archive.skip_to(position)?;
        Ok(archive)
    }

    /// The position in the content.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Appends up to `limit` bytes.
    fn read_onto(&mut self, out: &mut Vec<u8>, limit: u64) -> io::Result<()> {
        out.reserve(usize::try_from(limit).unwrap_or(usize::MAX));
        self.take(limit).read_to_end(out).map(drop)
    }
}

impl Source for Decompressed {
    fn skip_to(&mut self, position: u64) -> io::Result<()> {
        let ahead = position.saturating_sub(self.position);
        match &mut self.reader {
            Reader::Plain(_, length) if position > *length => {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Reader::Plain(file, _) => {
                file.seek_relative(ahead.cast_signed())?;
                self.position += ahead;
            }
            Reader::Compressed(_) => {
                let skipped = io::copy(&mut self.by_ref().take(ahead), &mut io::sink())?;
                if skipped < ahead {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
        }
        Ok(())
    }
}

impl Read for Decompressed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = match &mut self.reader {
            Reader::Plain(file, _) => file.read(buffer)?,
            Reader::Compressed(reader) => reader.read(buffer).map_err(codec::explain)?,
        };
        self.position += bytes as u64;
        Ok(bytes)
    }
}

impl fmt::Debug for Decompressed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Decompressed")
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}
