//! Directories that stay open while what is below them is used.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{Mode, OFlags, openat};

/// A directory and some that lead down from it, each within the one before.
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

    /// The innermost.
    pub(super) fn top(&self) -> BorrowedFd<'_> {
        self.open.last().map_or(&self.root, |(_, directory)| directory).as_fd()
    }

    /// The path of a name in the innermost, from the root.
    pub(super) fn path(&self, name: &OsStr) -> Vec<u8> {
        let names = self.open.iter().map(|(name, _)| name.as_os_str());
        names.chain([name]).map(OsStr::as_bytes).collect::<Vec<_>>().join(&b'/')
    }

    /// Closes all that do not lead along a path; how many of its names are open then.
    pub(super) fn keep(&mut self, names: &[&OsStr]) -> usize {
        let both = self.open.iter().zip(names);
        let kept = both.take_while(|((open, _), name)| open == *name).count();
        self.open.truncate(kept);
        kept
    }

    pub(super) fn push(&mut self, name: &OsStr, directory: OwnedFd) {
        self.open.push((name.to_owned(), directory));
    }

    /// Closes the innermost, but for the root.
    pub(super) fn pop(&mut self) {
        self.open.pop();
    }

    /// Closes all but the root.
    pub(super) fn clear(&mut self) {
        self.open.clear();
    }
}

/// The store's directories, for who wants its files one after the other.
#[derive(Debug)]
pub struct StoreFolders {
    stack: Stack,
}

impl StoreFolders {
    /// Of a store that was opened before, as [`Ways::store`](super::Ways::store) is.
    pub fn new(store: BorrowedFd<'_>) -> io::Result<Self> {
        Ok(Self { stack: Stack::new(store.try_clone_to_owned()?) })
    }

    /// The directory of a file and its name there. The path is relative to the store; it leads
    /// through no symbolic link, nor upwards.
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
