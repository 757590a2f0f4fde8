//! Chunks of a layer, and contents of files, which must stay as they were found.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use rustix::buffer::spare_capacity;
use rustix::fs::{CWD, Mode, OFlags, fstat, openat};
use thiserror::Error;

use crate::store::WalkError;

/// The next of a layer's bytes.
#[derive(Debug)]
pub enum Chunk<B = Vec<u8>> {
    /// These, wherever they are; `()` stands for the buffer that the caller gave.
    Bytes(B),
    /// The content of this file.
    File(Content),
    /// None any more.
    End,
}

/// Bytes of an open file that must be there as they were found, no fewer and no more.
#[derive(Debug)]
pub struct Content {
    file: File,
    path: PathBuf,
    /// Bytes to come in all.
    size: u64,
    /// Bytes that came.
    done: u64,
    /// Bytes of the whole file.
    file_size: u64,
}

/// Why a layer's content cannot be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The kernel refused.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// There is less to read than there was.
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
    /// There is more to read than there was.
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
    /// The whole of a file, of the size that it has now.
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

    /// Part of a file.
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

    /// Bytes expected in all.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Bytes not yet read.
    pub fn remaining(&self) -> u64 {
        self.size - self.done
    }

    /// The file, from whose current position the remaining bytes come.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Notes that this many bytes were taken from [`Self::file`]; 0 means that it ended.
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

    /// Reads into the free capacity of `out`; returns whether all has been read by now.
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
            // Bytes beyond the expected ones show that the file grew.
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

    /// Checks that the file has still the size that it had.
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
