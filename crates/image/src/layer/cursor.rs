//! The current position in a tree that is being archived, and access to the files there.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

use rustix::buffer::spare_capacity;
use rustix::fs::{CWD, Mode, OFlags, openat};

use super::disk::Disk;
use crate::content::ReadError;
use crate::store::{self, Entry};
use formats::tar;

/// The position in a tree that is being archived.
#[derive(Debug)]
pub(super) struct Cursor {
    /// The directory that `location` is relative to; `None` for the working directory.
    base: Option<OwnedFd>,
    /// The current entry's path on disk.
    location: Trail,
    /// The current entry's name in the archive.
    name: Trail,
    /// Open directories from the root down, opened when a file needs them.
    directories: Vec<OwnedFd>,
}

/// The path from a tree's root to an entry.
#[derive(Debug)]
struct Trail {
    path: Vec<u8>,
    /// The length of the path at each depth.
    lengths: Vec<usize>,
}

impl Trail {
    fn new(root: Vec<u8>) -> Self {
        Self { lengths: vec![root.len()], path: root }
    }

    fn enter(&mut self, depth: usize, name: &[u8]) {
        self.lengths.truncate(depth);
        self.path.truncate(self.lengths[depth - 1]);
        self.path.push(b'/');
        self.path.extend_from_slice(name);
        self.lengths.push(self.path.len());
    }

    /// The name at a depth of the path; the root's is its path.
    fn component(&self, depth: usize) -> &OsStr {
        let start = if depth == 0 { 0 } else { self.lengths[depth - 1] + 1 };
        OsStr::from_bytes(&self.path[start..self.lengths[depth]])
    }
}

impl Cursor {
    /// The position before the tree's root, which is read at `root` and called `name`.
    pub(super) fn new(root: PathBuf, name: Vec<u8>) -> Self {
        let location = Trail::new(root.into_os_string().into_vec());
        Self { base: None, location, name: Trail::new(name), directories: Vec::new() }
    }

    /// The same, with `root` relative to an open directory.
    pub(super) fn within(base: OwnedFd, root: PathBuf, name: Vec<u8>) -> Self {
        Self { base: Some(base), ..Self::new(root, name) }
    }

    /// The current entry's name in the archive.
    pub(super) fn name(&self) -> &[u8] {
        &self.name.path
    }

    /// Moves to the next entry.
    pub(super) fn enter(&mut self, entry: &Entry<'_>) {
        if entry.depth > 0 {
            self.directories.truncate(entry.depth);
            self.location.enter(entry.depth, entry.name);
            self.name.enter(entry.depth, store::logical(entry.name));
        }
    }

    /// Opens the current entry, a regular file, through its directories, without following links.
    pub(super) fn open(&mut self) -> Result<File, ReadError> {
        // Do not block on a pipe that replaced the file.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        self.open_parent()?;
        let (directory, name) = self.location();
        let file = openat(directory, name, flags, Mode::empty());
        file.map(File::from).map_err(|error| self.error("open", error))
    }

    /// Opens the current entry's directory, without following links.
    pub(super) fn open_parent(&mut self) -> Result<(), ReadError> {
        let depth = self.location.lengths.len() - 1;
        while self.directories.len() < depth {
            let name = self.location.component(self.directories.len());
            let directory = store::open_directory(self.parent(), name);
            self.directories
                .push(directory.map_err(|error| self.error("open the directory of", error))?);
        }
        Ok(())
    }

    /// The current entry's directory, which must be open, and its name there.
    pub(super) fn location(&self) -> (BorrowedFd<'_>, &OsStr) {
        let depth = self.location.lengths.len() - 1;
        (self.parent(), self.location.component(depth))
    }

    /// The innermost open directory.
    fn parent(&self) -> BorrowedFd<'_> {
        let directory = self.directories.last().or(self.base.as_ref());
        directory.map_or(CWD, |directory| directory.as_fd())
    }

    /// Appends a small file's content and its padding.
    pub(super) fn put_small(
        &mut self,
        size: u64,
        disk: &mut Disk,
        out: &mut Vec<u8>,
    ) -> Result<(), ReadError> {
        let file = self.open()?;
        disk.sample(&file);
        // One byte more than expected shows that the file grew.
        out.reserve(size as usize + 1);
        let mut found = 0;
        loop {
            match rustix::io::read(&file, spare_capacity(out)) {
                Ok(0) => break,
                Ok(bytes) => found += bytes as u64,
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(self.error("read", error)),
            }
            if found >= size {
                break;
            }
        }
        match found {
            found if found < size => {
                return Err(ReadError::Shrank { path: self.path(), expected: size, found });
            }
            found if found > size => {
                return Err(ReadError::Grew { path: self.path(), expected: size });
            }
            _ => {}
        }
        out.extend_from_slice(tar::padding(size));
        Ok(())
    }

    /// The current entry's path on disk.
    pub(super) fn path(&self) -> PathBuf {
        PathBuf::from(OsStr::from_bytes(&self.location.path))
    }

    fn error(&self, action: &'static str, error: rustix::io::Errno) -> ReadError {
        ReadError::Io { action, path: self.path(), source: error.into() }
    }
}
