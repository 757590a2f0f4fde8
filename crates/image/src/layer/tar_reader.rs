//! Reads a layer's tar file, skipping contents that are not needed.

use std::io::{self, BufRead, Read, Seek as _, SeekFrom};
use std::path::Path;

use super::LayerStream;
use crate::content::{Chunk, Content};
use crate::members::Source;

/// Bytes of headers and small files read at a time.
const CHUNK: usize = 64 << 10;

/// Reads a layer's tar file. Contents that are sections of files can be skipped without being read.
#[derive(Debug)]
pub struct TarReader<'a> {
    stream: LayerStream<'a>,
    /// Bytes read ahead, and the position of the next one in the buffer.
    buffer: Vec<u8>,
    start: usize,
    /// The file that follows these bytes.
    file: Option<Content>,
    /// Whether these bytes belong to the file.
    is_of_file: bool,
    position: u64,
    ended: bool,
}

impl<'a> TarReader<'a> {
    /// A reader at the layer's first byte.
    pub fn new(stream: LayerStream<'a>) -> Self {
        Self {
            stream,
            buffer: Vec::with_capacity(2 * CHUNK),
            start: 0,
            file: None,
            is_of_file: false,
            position: 0,
            ended: false,
        }
    }

    /// The position in the layer, in bytes.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The file that contains the next `size` bytes, and their offset in it; `None` if they are not
    /// in a file.
    ///
    /// # Errors
    ///
    /// If the file is not seekable.
    pub fn section(&self, size: u64) -> io::Result<Option<(&Path, u64)>> {
        let ahead = self.ahead() as u64;
        match &self.file {
            Some(file) if (ahead == 0 || self.is_of_file) && ahead + file.remaining() >= size => {
                Ok(Some((file.path(), file.file().stream_position()? - ahead)))
            }
            _ => Ok(None),
        }
    }

    /// The number of bytes read ahead.
    fn ahead(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// Fills the buffer if it is empty; at the end it stays empty.
    fn read_ahead(&mut self) -> io::Result<()> {
        while self.ahead() == 0 && !self.ended {
            self.buffer.clear();
            self.start = 0;
            self.is_of_file = self.file.is_some();
            if let Some(file) = &mut self.file {
                // These may be the last bytes.
                if file.read(&mut self.buffer).map_err(io::Error::other)? && self.buffer.is_empty()
                {
                    self.file = None;
                }
                continue;
            }
            match self.stream.fill(&mut self.buffer, CHUNK).map_err(io::Error::other)? {
                Chunk::Bytes(()) => {}
                Chunk::File(file) => self.file = Some(file),
                Chunk::End => self.ended = true,
            }
        }
        Ok(())
    }
}

impl BufRead for TarReader<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.read_ahead()?;
        Ok(&self.buffer[self.start..])
    }

    fn consume(&mut self, bytes: usize) {
        self.start += bytes;
        self.position += bytes as u64;
    }
}

impl Read for TarReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let ahead = self.fill_buf()?;
        let bytes = out.len().min(ahead.len());
        out[..bytes].copy_from_slice(&ahead[..bytes]);
        self.consume(bytes);
        Ok(bytes)
    }
}

impl Source for TarReader<'_> {
    fn skip_to(&mut self, position: u64) -> io::Result<()> {
        while self.position < position {
            let wanted = position - self.position;
            match (&mut self.file, self.buffer.len() - self.start) {
                (Some(file), 0) if file.remaining() > 0 => {
                    let bytes = wanted.min(file.remaining());
                    file.file().seek(SeekFrom::Current(bytes.cast_signed()))?;
                    file.advance(bytes).map_err(io::Error::other)?;
                    self.position += bytes;
                }
                (_, 0) => {
                    self.read_ahead()?;
                    if self.ahead() == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                (_, ahead) => self.consume(wanted.min(ahead as u64) as usize),
            }
        }
        Ok(())
    }
}
