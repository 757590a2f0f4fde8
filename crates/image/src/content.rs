//! Chunks of a layer, and file contents that must not change while they are read.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use rustix::buffer::spare_capacity;
use rustix::fs::{CWD, Mode, OFlags, fstat, openat};
use thiserror::Error;

use crate::store::WalkError;

/// The next bytes of a layer.
#[derive(Debug)]
pub enum Chunk<B = Vec<u8>> {
    /// Bytes in memory; `()` stands for the caller's buffer.
    Bytes(B),
    /// The content of a file.
    File(Content),
    /// The end of the layer.
    End,
}

/// A part of an open file whose size must stay what it was.
#[derive(Debug)]
pub struct Content {
    file: File,
    path: PathBuf,
    /// The expected number of bytes.
    size: u64,
    /// The number of bytes read so far.
    done: u64,
    /// The size of the whole file.
    file_size: u64,
}

/// Why a layer's content cannot be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// A system call failed.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The path it was tried on.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The file became shorter.
    #[error(
        "`{}` shrank while it was being read: {expected} bytes expected, {found} found; \
         nothing may write to the store meanwhile",
        path.display()
    )]
    Shrank {
        /// The file.
        path: PathBuf,
        /// Bytes when it was listed.
        expected: u64,
        /// Bytes that could be read.
        found: u64,
    },
    /// The file became longer.
    #[error(
        "`{}` grew while it was being read beyond the {expected} bytes expected; \
         nothing may write to the store meanwhile",
        path.display()
    )]
    Grew {
        /// The file.
        path: PathBuf,
        /// Bytes when it was listed.
        expected: u64,
    },
    /// The tree cannot be listed.
    #[error(transparent)]
    Walk(#[from] WalkError),
}

impl Content {
    /// The whole content of a file, with its current size.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        let error = |error: rustix::io::Errno| ReadError::Io {
            action: "open",
            path: path.to_owned(),
            source: error.into(),
        };
        let file = openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        let file = File::from(file.map_err(error)?);
        let size = fstat(&file).map_err(error)?.st_size.cast_unsigned();
        Ok(Self::new(file, path.to_owned(), size))
    }

    /// A section of a file.
    pub fn open_section(path: &Path, offset: u64, size: u64) -> Result<Self, ReadError> {
        let mut whole = Self::open(path)?;
        whole.file.seek(SeekFrom::Start(offset)).map_err(|source| ReadError::Io {
            action: "seek in",
            path: path.to_owned(),
            source,
        })?;
        whole.size = size;
        Ok(whole)
    }

    pub(crate) fn new(file: File, path: PathBuf, size: u64) -> Self {
        Self { file, path, size, done: 0, file_size: size }
    }

    /// The expected number of bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The number of bytes still to be read.
    pub fn remaining(&self) -> u64 {
        self.size - self.done
    }

    /// The file, whose current position is where the remaining bytes start.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Records that this many bytes were read from [`Self::file`]; 0 means that the file ended.
    pub fn advance(&mut self, bytes: u64) -> Result<(), ReadError> {
        self.done += bytes;
        if bytes == 0 && self.done < self.size {
            let Self { ref path, size: expected, done: found, .. } = *self;
            return Err(ReadError::Shrank { path: path.clone(), expected, found });
        }
        if self.done > self.size {
            return Err(ReadError::Grew { path: self.path.clone(), expected: self.size });
        }
        Ok(())
    }

    /// Reads into the spare capacity of `out`; returns whether everything has been read.
    pub fn read(&mut self, out: &mut Vec<u8>) -> Result<bool, ReadError> {
        if self.remaining() > 0 {
            let bytes = self.read_some(out)?;
            self.advance(bytes)?;
        }
        if self.remaining() > 0 {
            return Ok(false);
        }
        self.finish()?;
        Ok(true)
    }

    fn read_some(&self, out: &mut Vec<u8>) -> Result<u64, ReadError> {
        let bytes = if self.size == self.file_size {
            // More bytes than expected show that the file grew.
            loop {
                match rustix::io::read(&self.file, spare_capacity(out)) {
                    Err(rustix::io::Errno::INTR) => {}
                    result => break result.map_err(io::Error::from),
                }
            }
        } else {
            let free = (out.capacity() - out.len()) as u64;
            (&self.file).take(self.remaining().min(free)).read_to_end(out)
        };
        bytes.map(|bytes| bytes as u64).map_err(|source| ReadError::Io {
            action: "read",
            path: self.path.clone(),
            source,
        })
    }

    /// Checks that the file still has the size that it had.
    pub fn finish(&self) -> Result<(), ReadError> {
        let stat = fstat(&self.file).map_err(|error| ReadError::Io {
            action: "examine",
            path: self.path.clone(),
            source: error.into(),
        })?;
        let (path, expected, found) = (&self.path, self.file_size, stat.st_size.cast_unsigned());
        match found {
            _ if found > expected => Err(ReadError::Grew { path: path.clone(), expected }),
            _ if found < expected => Err(ReadError::Shrank { path: path.clone(), expected, found }),
            _ => Ok(()),
        }
    }
}
