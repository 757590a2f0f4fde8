//! Where in a tree its archive has come to, and the files there.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use rustix::buffer::spare_capacity;
use rustix::fs::{CWD, Mode, OFlags, openat};

use super::content::ReadError;
use super::disk::Disk;
use crate::store::{self, Entry};
use crate::tar;

/// The place in a tree that is being archived.
#[derive(Debug)]
pub(super) struct Cursor {
    /// Where the root is to be read.
    root: PathBuf,
    /// The current entry's name in the archive.
    name: Vec<u8>,
    /// How long the name was at each depth down to here.
    lengths: Vec<usize>,
    /// Open directories of the depths down to here, opened when a file needs them.
    directories: Vec<OwnedFd>,
}

impl Cursor {
    /// The place before the tree's root, which is read at `root` and called `name`.
    pub(super) fn new(root: PathBuf, name: Vec<u8>) -> Self {
        Self { root, lengths: vec![name.len()], name, directories: Vec::new() }
    }

    /// The current entry's name in the archive.
    pub(super) fn name(&self) -> &[u8] {
        &self.name
    }

    /// Goes on to the next entry.
    pub(super) fn enter(&mut self, entry: &Entry<'_>) {
        if entry.depth == 0 {
            return;
        }
        self.lengths.truncate(entry.depth);
        self.directories.truncate(entry.depth);
        self.name.truncate(self.lengths[entry.depth - 1]);
        self.name.push(b'/');
        self.name.extend_from_slice(entry.name);
        self.lengths.push(self.name.len());
    }

    /// Opens the current entry, a regular file, through its directories; no link is followed.
    pub(super) fn open(&mut self) -> Result<File, ReadError> {
        // Not to be kept waiting by a pipe that someone put in the file's place.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let depth = self.lengths.len() - 1;
        while self.directories.len() < depth {
            let directory = match self.directories.last() {
                None => store::open_directory(CWD, self.root.as_os_str()),
                Some(parent) => {
                    store::open_directory(parent.as_fd(), self.component(self.directories.len()))
                }
            };
            self.directories
                .push(directory.map_err(|error| self.error("open the directory of", error))?);
        }
        let file = match self.directories.last() {
            None => openat(CWD, &self.root, flags, Mode::empty()),
            Some(parent) => openat(parent, self.component(depth), flags, Mode::empty()),
        };
        file.map(File::from).map_err(|error| self.error("open", error))
    }

    /// The name of the entry at some depth on the way to the current one.
    fn component(&self, depth: usize) -> &OsStr {
        OsStr::from_bytes(&self.name[self.lengths[depth - 1] + 1..self.lengths[depth]])
    }

    /// Appends a small file's content and its padding.
    pub(super) fn put_small(
        &mut self,
        size: u64,
        disk: &mut Disk,
        out: &mut Vec<u8>,
    ) -> Result<(), ReadError> {
        let file = self.open()?;
        disk.look(&file);
        // One byte more than expected shows a file that grew.
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

    /// Where the current entry is to be read.
    pub(super) fn path(&self) -> PathBuf {
        let below = &self.name[self.lengths[0]..];
        let mut path = self.root.as_os_str().as_bytes().to_owned();
        path.extend_from_slice(below);
        PathBuf::from(OsStr::from_bytes(&path))
    }

    fn error(&self, action: &'static str, error: rustix::io::Errno) -> ReadError {
        ReadError::Io { action, path: self.path(), source: error.into() }
    }
}
