//! Reads the layers of a base image.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use super::codec::{self, Codec};
use super::{Base, BaseError, BaseLayer};
use crate::layer::{Content, ReadError};
use formats::digest::HashWriter;

/// Bytes read at a time.
const CHUNK: usize = 256 << 10;

/// Reads one layer after the other; in the archive's own order a compressed archive is
/// decompressed once.
#[derive(Debug)]
pub struct BaseReader<'a> {
    base: &'a Base,
    archive: Option<Decompressed>,
}

impl<'a> BaseReader<'a> {
    /// A reader of the base's layers.
    pub fn new(base: &'a Base) -> Self {
        Self { base, archive: None }
    }

    /// A reader that goes on where another one of the same base got to.
    pub fn resume(base: &'a Base, archive: Option<Decompressed>) -> Self {
        Self { base, archive }
    }

    /// Where this one got to.
    pub fn into_archive(self) -> Option<Decompressed> {
        self.archive
    }

    /// The layer as part of a file, if the archive is not compressed.
    pub fn section(&self, layer: &BaseLayer) -> Option<Result<Content, ReadError>> {
        let member = &layer.member;
        let plain = self.base.codec == Codec::None;
        plain.then(|| Content::open_section(&self.base.path, member.offset, member.size))
    }

    /// Hands the layer's bytes out, piece by piece, and checks at the end that they are the
    /// layer that the base's configuration names.
    pub fn read<E: From<BaseError>>(
        &mut self,
        layer: &BaseLayer,
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let error = |source| BaseError::Read { path: self.base.path.clone(), source };
        let offset = layer.member.offset;
        let mut archive = match self.archive.take() {
            Some(mut archive) if archive.position <= offset => {
                archive.skip_to(offset).map_err(error)?;
                archive
            }
            _ => Decompressed::open_at(&self.base.path, self.base.codec, offset).map_err(error)?,
        };
        let mut hash = HashWriter::default();
        let mut buffer = vec![0; CHUNK];
        let mut left = layer.member.size;
        let first = archive.read_up_to(&mut buffer, left).map_err(error)?;
        // The layer itself may be compressed, the diffID is that of its content.
        let codec = Codec::of(&buffer[..first.min(6)]);
        let content = codec.writer(&mut hash).map_err(error)?;
        let mut content = content.ok_or_else(|| BaseError::Member {
            path: self.base.path.clone(),
            member: String::from_utf8_lossy(&layer.member.name).into(),
            problem: "is compressed in a way that no engine takes",
        })?;
        let mut filled = first;
        while filled > 0 {
            content.write_all(&buffer[..filled]).map_err(error)?;
            each(&buffer[..filled])?;
            left -= filled as u64;
            filled = archive.read_up_to(&mut buffer, left).map_err(error)?;
        }
        content.finish().map_err(error)?;
        if left > 0 {
            return Err(error(io::ErrorKind::UnexpectedEof.into()).into());
        }
        self.archive = Some(archive);
        let found = hash.finish();
        if found != layer.diff_id {
            return Err(self.base.mismatch(layer, found).into());
        }
        Ok(())
    }
}

/// An archive's content, which is read from its start to its end.
pub struct Decompressed {
    reader: Reader,
    position: u64,
}

enum Reader {
    /// Not compressed, so that what is not needed can be passed over; the file, and its length.
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

    /// Goes on to a position that is not behind this one.
    pub(super) fn skip_to(&mut self, position: u64) -> io::Result<()> {
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

    fn read_up_to(&mut self, buffer: &mut [u8], limit: u64) -> io::Result<usize> {
        let length = buffer.len().min(usize::try_from(limit).unwrap_or(usize::MAX));
        // The decoder of zstd fails when it is asked for nothing.
        if length == 0 {
            return Ok(0);
        }
        loop {
            match self.read(&mut buffer[..length]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
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

impl std::fmt::Debug for Decompressed {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Decompressed")
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}
