//! A layer's tar file, whose contents stay where they are.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::path::PathBuf;

use image::layer::LayerStream;
use image::members::Source;
use image::{Chunk, Content};

/// Bytes of headers and small files that are read at a time.
const CHUNK: usize = 64 << 10;

/// Where the contents of files are: in files of others, or in a temporary one that has no name.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// Files of others; those of one layer often are the same.
    pub(super) files: Vec<PathBuf>,
    /// What has no file of its own.
    pub(super) spool: Option<Spool>,
}

/// A temporary file that goes with the process.
#[derive(Debug)]
pub(super) struct Spool {
    pub(super) file: File,
    end: u64,
}

/// Where the content of one file starts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Location {
    /// Which of the files of others it is in; `None` is the temporary one.
    pub(super) file: Option<u32>,
    pub(super) offset: u64,
}

/// Reads a layer's tar file.
pub(super) struct LayerSource<'a, 'b> {
    stream: LayerStream<'a>,
    contents: &'b mut Contents,
    /// Bytes that were read ahead, and where the next one is.
    buffer: Vec<u8>,
    start: usize,
    /// The file that comes behind these bytes.
    file: Option<Content>,
    /// Whether these bytes are the file's.
    is_of_file: bool,
    position: u64,
    ended: bool,
}

impl<'a, 'b> LayerSource<'a, 'b> {
    pub(super) fn new(stream: LayerStream<'a>, contents: &'b mut Contents) -> Self {
        Self {
            stream,
            contents,
            buffer: Vec::with_capacity(2 * CHUNK),
            start: 0,
            file: None,
            is_of_file: false,
            position: 0,
            ended: false,
        }
    }

    /// Bytes that were read ahead.
    fn ahead(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// Reads ahead if nothing is; there still is nothing at the end.
    fn read_ahead(&mut self) -> io::Result<()> {
        while self.ahead() == 0 && !self.ended {
            self.buffer.clear();
            self.start = 0;
            self.is_of_file = self.file.is_some();
            if let Some(file) = &mut self.file {
                // The end may be reached with the last bytes.
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

    /// Where the next `size` bytes are. Those without a file are put into the temporary one.
    pub(super) fn locate(&mut self, size: u64) -> io::Result<Location> {
        if self.ahead() == 0 {
            self.is_of_file = self.file.is_some();
        }
        let ahead = self.ahead() as u64;
        if let Some(file) = self.file.as_mut().filter(|_| self.is_of_file)
            && ahead + file.remaining() >= size
        {
            let offset = file.file().stream_position()? - ahead;
            if self.contents.files.last().is_none_or(|last| last != file.path()) {
                self.contents.files.push(file.path().to_owned());
            }
            let number = u32::try_from(self.contents.files.len() - 1).map_err(io::Error::other)?;
            return Ok(Location { file: Some(number), offset });
        }
        self.spool(size)
    }

    fn spool(&mut self, size: u64) -> io::Result<Location> {
        let mut spool = match self.contents.spool.take() {
            Some(spool) => spool,
            None => Spool { file: tempfile::tempfile()?, end: 0 },
        };
        let offset = spool.end;
        let mut left = size;
        while left > 0 {
            self.read_ahead()?;
            let bytes = left.min(self.ahead() as u64) as usize;
            if bytes == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let write = spool.file.write_all(&self.buffer[self.start..][..bytes]);
            write.map_err(|error| {
                let directory = std::env::temp_dir();
                let directory = directory.display();
                io::Error::new(
                    error.kind(),
                    format!("writing a temporary file in `{directory}`: {error}"),
                )
            })?;
            self.start += bytes;
            self.position += bytes as u64;
            left -= bytes as u64;
        }
        spool.end += size;
        self.contents.spool = Some(spool);
        Ok(Location { file: None, offset })
    }
}

impl Read for LayerSource<'_, '_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.read_ahead()?;
        let bytes = out.len().min(self.ahead());
        out[..bytes].copy_from_slice(&self.buffer[self.start..][..bytes]);
        self.start += bytes;
        self.position += bytes as u64;
        Ok(bytes)
    }
}

impl Source for LayerSource<'_, '_> {
    fn skip_to(&mut self, position: u64) -> io::Result<()> {
        while self.position < position {
            let wanted = position - self.position;
            let skipped = match (&mut self.file, self.buffer.len() - self.start) {
                (Some(file), 0) if file.remaining() > 0 => {
                    let bytes = wanted.min(file.remaining());
                    file.file().seek(SeekFrom::Current(bytes.cast_signed()))?;
                    file.advance(bytes).map_err(io::Error::other)?;
                    bytes
                }
                (_, 0) => {
                    self.read_ahead()?;
                    if self.ahead() == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    continue;
                }
                (_, ahead) => {
                    let bytes = wanted.min(ahead as u64);
                    self.start += bytes as usize;
                    bytes
                }
            };
            self.position += skipped;
        }
        Ok(())
    }
}
