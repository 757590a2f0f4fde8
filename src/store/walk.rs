//! Walks the tree below a store path, relative to open directories, in Python's order.

use std::ffi::{CStr, OsStr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat, openat, readlinkat, statat};
use thiserror::Error;

use super::identity::{Identity, identify};
use super::listing::{Entry, Listing, Node};
use super::names::Names;
use crate::sha256::Sha256;
use crate::tar::Device;

/// The longest path that the kernel takes (`PATH_MAX`); it also bounds the walk's depth.
const MAX_PATH: usize = 4096;

/// What a walk found.
#[derive(Debug)]
pub struct Scan {
    /// The tree's entries, the root first.
    pub listing: Listing,
    /// SHA-256 over every entry's name, type, mode, size or target, and time of last change.
    pub fingerprint: [u8; 32],
    /// Which tree of that look it is.
    pub identity: Identity,
}

/// Why a tree cannot be archived.
#[derive(Debug, Error)]
pub enum WalkError {
    /// The path is not there.
    #[error("`{}` does not exist; build or fetch it first, as with `nix-store --realise`", .0.display())]
    Missing(PathBuf),
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
    /// A socket.
    #[error("`{}` is a socket, which no archive can hold; remove it", .0.display())]
    Socket(PathBuf),
    /// A path too long to be opened by name.
    #[error("`{}...` is longer than the {MAX_PATH} bytes that a path may have", .0.display())]
    TooLong(PathBuf),
}

/// Walks the tree at `root` (a symbolic link is a tree of its own) and lists all of it.
pub fn scan(root: &Path) -> Result<Scan, WalkError> {
    let stat = statat(CWD, root, AtFlags::SYMLINK_NOFOLLOW).map_err(|error| match error {
        rustix::io::Errno::NOENT => WalkError::Missing(root.to_owned()),
        error => io_error("examine", root, error),
    })?;
    let mut walk = Walk {
        path: root.as_os_str().as_bytes().to_owned(),
        listing: Listing::default(),
        fingerprint: Sha256::new(),
    };
    walk.add(CWD, c"", 0, &stat)?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        let directory = open_directory(CWD, root.as_os_str());
        walk.descend(directory.map_err(|error| walk.error("open", error))?)?;
    }
    let identity = identify(root, &stat).map_err(|source| WalkError::Io {
        action: "read",
        path: root.to_owned(),
        source,
    })?;
    let Walk { mut listing, fingerprint, .. } = walk;
    listing.shrink();
    Ok(Scan { listing, fingerprint: fingerprint.finish(), identity })
}

/// Opens a directory without following a link in its place.
pub(crate) fn open_directory(parent: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(parent, name, flags, Mode::empty())
}

struct Walk {
    /// The path of the entry at hand, for messages.
    path: Vec<u8>,
    listing: Listing,
    fingerprint: Sha256,
}

/// A directory whose entries are being visited.
struct Level {
    directory: OwnedFd,
    names: Names,
    next: usize,
    path_length: usize,
}

impl Walk {
    /// Lists everything below a directory; on a stack of its own, as trees may be deep.
    fn descend(&mut self, root: OwnedFd) -> Result<(), WalkError> {
        let mut levels = vec![self.level(root)?];
        loop {
            let depth = levels.len();
            let Some(level) = levels.last_mut() else { return Ok(()) };
            self.path.truncate(level.path_length);
            level.next += 1;
            let Some(name) = level.names.get(level.next - 1) else {
                levels.pop();
                continue;
            };
            self.enter(name.to_bytes())?;
            let parent = level.directory.as_fd();
            let stat = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)
                .map_err(|error| self.error("examine", error))?;
            self.add(parent, name, depth, &stat)?;
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                let child = open_directory(parent, OsStr::from_bytes(name.to_bytes()))
                    .map_err(|error| self.error("open", error))?;
                levels.push(self.level(child)?);
            }
        }
    }

    fn enter(&mut self, name: &[u8]) -> Result<(), WalkError> {
        self.path.push(b'/');
        self.path.extend_from_slice(name);
        if self.path.len() < MAX_PATH {
            return Ok(());
        }
        self.path.truncate(256);
        Err(WalkError::TooLong(self.path()))
    }

    fn level(&self, directory: OwnedFd) -> Result<Level, WalkError> {
        let names = Names::read(directory.as_fd()).map_err(|error| self.error("list", error))?;
        Ok(Level { directory, names, next: 0, path_length: self.path.len() })
    }

    /// Lists one entry.
    fn add(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &CStr,
        depth: usize,
        stat: &Stat,
    ) -> Result<(), WalkError> {
        let target;
        let node = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Node::File(stat.st_size.cast_unsigned()),
            FileType::Directory => Node::Directory,
            FileType::Symlink => {
                // The root's own name is its path.
                let link = if depth == 0 {
                    OsStr::from_bytes(&self.path)
                } else {
                    OsStr::from_bytes(name.to_bytes())
                };
                target = readlinkat(parent, link, Vec::new())
                    .map_err(|error| self.error("read the link", error))?;
                Node::Symlink(target.as_bytes())
            }
            FileType::Fifo => Node::Fifo,
            FileType::CharacterDevice => Node::Character(device(stat)),
            FileType::BlockDevice => Node::Block(device(stat)),
            _ => return Err(WalkError::Socket(self.path())),
        };
        let mode = (stat.st_mode & 0o7777) as u16;
        let packed = self.listing.push(&Entry { depth, name: name.to_bytes(), mode, node });
        self.fingerprint.update(packed);
        self.fingerprint.update(&stat.st_mtime.to_le_bytes());
        self.fingerprint.update(&stat.st_mtime_nsec.to_le_bytes());
        Ok(())
    }

    fn path(&self) -> PathBuf {
        OsStr::from_bytes(&self.path).into()
    }

    fn error(&self, action: &'static str, error: rustix::io::Errno) -> WalkError {
        WalkError::Io { action, path: self.path(), source: error.into() }
    }
}

fn io_error(action: &'static str, path: &Path, error: rustix::io::Errno) -> WalkError {
    WalkError::Io { action, path: path.to_owned(), source: error.into() }
}

fn device(stat: &Stat) -> Device {
    Device { major: rustix::fs::major(stat.st_rdev), minor: rustix::fs::minor(stat.st_rdev) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subtrees_come_before_names_that_continue_the_directorys() {
        let root = tempfile::tempdir().unwrap();
        for file in ["a/x", "a-b", "a.b", ".hidden"] {
            let path = root.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, file).unwrap();
        }
        let scan = scan(root.path()).unwrap();
        let names: Vec<_> =
            scan.listing.entries().map(|e| (e.depth, str::from_utf8(e.name).unwrap())).collect();
        let expected = [(0, ""), (1, ".hidden"), (1, "a"), (2, "x"), (1, "a-b"), (1, "a.b")];
        assert_eq!(names, expected);
    }
}
