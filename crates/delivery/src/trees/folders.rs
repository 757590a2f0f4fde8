//! Directories that stay open while entries below them are in use.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{Mode, OFlags, openat};

/// A directory, and open directories below it, each inside the one before.
#[derive(Debug)]
pub(super) struct Stack {
    root: OwnedFd,
    open: Vec<(OsString, OwnedFd)>,
}

impl Stack {
    pub(super) fn new(root: OwnedFd) -> Self {
        Self { root, open: Vec::new() }
    }

    pub(super) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// The innermost directory.
    pub(super) fn top(&self) -> BorrowedFd<'_> {
        self.open.last().map_or(&self.root, |(_, directory)| directory).as_fd()
    }

    /// The path from the root of a name in the innermost directory.
    pub(super) fn path(&self, name: &OsStr) -> Vec<u8> {
        let names = self.open.iter().map(|(name, _)| name.as_os_str());
        names.chain([name]).map(OsStr::as_bytes).collect::<Vec<_>>().join(&b'/')
    }

    /// Closes the directories that are not on a path; returns how many of its components stay open.
    pub(super) fn keep(&mut self, names: &[&OsStr]) -> usize {
        let both = self.open.iter().zip(names);
        let kept = both.take_while(|((open, _), name)| open == *name).count();
        self.open.truncate(kept);
        kept
    }

    pub(super) fn push(&mut self, name: &OsStr, directory: OwnedFd) {
        self.open.push((name.to_owned(), directory));
    }

    /// Closes the innermost directory, but never the root.
    pub(super) fn pop(&mut self) {
        self.open.pop();
    }

    /// Closes all directories except the root.
    pub(super) fn clear(&mut self) {
        self.open.clear();
    }
}

/// Opens directories of the store, for callers that read many of its files in order.
#[derive(Debug)]
pub struct StoreFolders {
    stack: Stack,
}

impl StoreFolders {
    /// For a store that is already open, such as [`Ways::store`](super::Ways::store).
    pub fn new(store: BorrowedFd<'_>) -> io::Result<Self> {
        Ok(Self { stack: Stack::new(store.try_clone_to_owned()?) })
    }

    /// The directory of a file, and the file's name. The path is relative to the store and must not
    /// contain symbolic links or `..`.
    pub fn find<'a>(&mut self, path: &'a Path) -> io::Result<(BorrowedFd<'_>, &'a OsStr)> {
        let names: Vec<&OsStr> = path.iter().collect();
        let Some((name, parents)) = names.split_last() else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        if names.contains(&OsStr::new("..")) || path.is_absolute() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let kept = self.stack.keep(parents);
        for parent in &parents[kept..] {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let opened = openat(self.stack.top(), *parent, flags, Mode::empty())?;
            self.stack.push(parent, opened);
        }
        Ok((self.stack.top(), name))
    }
}
