//! Walks the tree below a store path, relative to open directories, in Python's order.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat, openat, readlinkat, statat};
use rustix::io::Errno;
use thiserror::Error;

use super::listing::{Entry, Node};
use super::names::Names;
use formats::tar::Device;

/// The longest path that the kernel accepts (`PATH_MAX`); it also limits the walk's depth.
const MAX_PATH: usize = 4096;

/// A walk through a tree, entry by entry. It only stores the names in the directories that lead to
/// the current entry.
#[derive(Debug)]
pub struct Walk {
    /// The path of the current entry.
    path: Vec<u8>,
    /// The length of the path without the entry's own name.
    parent_length: usize,
    /// The target of the current entry, if it is a link.
    target: Vec<u8>,
    root: Stat,
    state: State,
    /// The directories that lead to the current entry.
    levels: Vec<Level>,
}

/// What the walk does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Visit the root.
    Root,
    /// Open the current directory.
    Open,
    /// Continue in the innermost open directory.
    Next,
}

/// A directory whose entries are being visited.
#[derive(Debug)]
struct Level {
    directory: OwnedFd,
    names: Names,
    next: usize,
    path_length: usize,
}

/// An entry with its modification time.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// The entry.
    pub entry: Entry<'a>,
    /// Seconds since 1970 and nanoseconds.
    pub changed: (i64, u64),
}

/// Why a tree cannot be archived.
#[derive(Debug, Error)]
pub enum WalkError {
    /// The path does not exist.
    #[error(
        "`{}` does not exist; build or fetch it first, for example with `nix-store --realise`",
        .0.display()
    )]
    Missing(PathBuf),
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
    /// The tree contains a socket.
    #[error("`{}` is a socket, which an archive cannot contain; remove it", .0.display())]
    Socket(PathBuf),
    /// Two trees that are copied into the root have entries with the same name.
    #[error(
        "`{}` is in `{}` and in `{}`, and only directories are merged; leave one of them out",
        name.display(), paths[0], paths[1]
    )]
    Collision {
        /// The name in the image.
        name: PathBuf,
        /// The store paths.
        paths: [String; 2],
    },
    /// A path to be copied into the root is not a directory.
    #[error("`{0}` cannot be copied into the root, as it is not a directory; put it into one")]
    NotDirectory(String),
    /// A path is too long to be opened by name.
    #[error("`{}...` is longer than the {MAX_PATH} bytes that a path may have", .0.display())]
    TooLong(PathBuf),
}

/// Opens a directory without following a link.
pub(crate) fn open_directory(parent: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(parent, name, flags, Mode::empty())
}

impl Walk {
    /// A walk through the tree at `root`, which is visited first. A symbolic link is a tree by
    /// itself.
    pub fn new(root: &Path) -> Result<Self, WalkError> {
        let stat = statat(CWD, root, AtFlags::SYMLINK_NOFOLLOW).map_err(|error| match error {
            Errno::NOENT => WalkError::Missing(root.to_owned()),
            error => {
                WalkError::Io { action: "examine", path: root.to_owned(), source: error.into() }
            }
        })?;
        let path = root.as_os_str().as_bytes().to_owned();
        Ok(Self {
            parent_length: path.len(),
            path,
            target: Vec::new(),
            root: stat,
            state: State::Root,
            levels: Vec::new(),
        })
    }

    /// The metadata of the root.
    pub(super) fn root(&self) -> &Stat {
        &self.root
    }

    /// The next entry; `None` at the end.
    pub fn next_entry(&mut self) -> Result<Option<Found<'_>>, WalkError> {
        let Some(stat) = self.advance()? else { return Ok(None) };
        let directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        self.state = if directory { State::Open } else { State::Next };
        if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
            self.read_link()?;
        }
        let entry = Entry {
            depth: self.levels.len(),
            name: &self.path[self.parent_length..],
            mode: mode(&stat),
            node: self.node(&stat)?,
        };
        Ok(Some(Found { entry, changed: changed(&stat) }))
    }

    /// Moves to the next entry. An explicit stack is used, as trees may be deep.
    fn advance(&mut self) -> Result<Option<Stat>, WalkError> {
        match self.state {
            State::Root => return Ok(Some(self.root)),
            State::Open => self.open()?,
            State::Next => {}
        }
        while let Some(level) = self.levels.last_mut() {
            self.path.truncate(level.path_length);
            let Some(name) = level.names.get(level.next) else {
                self.levels.pop();
                continue;
            };
            level.next += 1;
            self.path.push(b'/');
            self.parent_length = self.path.len();
            self.path.extend_from_slice(name.to_bytes());
            if self.path.len() >= MAX_PATH {
                self.path.truncate(256);
                return Err(WalkError::TooLong(self.path()));
            }
            return match statat(&level.directory, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => Ok(Some(stat)),
                Err(error) => Err(self.error("examine", error)),
            };
        }
        Ok(None)
    }

    /// Opens the current directory and reads its names.
    fn open(&mut self) -> Result<(), WalkError> {
        let opened = open_directory(self.parent(), self.own_name());
        let directory = opened.map_err(|error| self.error("open", error))?;
        let names = Names::read(directory.as_fd()).map_err(|error| self.error("list", error))?;
        self.levels.push(Level { directory, names, next: 0, path_length: self.path.len() });
        Ok(())
    }

    fn read_link(&mut self) -> Result<(), WalkError> {
        let buffer = std::mem::take(&mut self.target);
        let target = readlinkat(self.parent(), self.own_name(), buffer);
        self.target = target.map_err(|error| self.error("read the link", error))?.into_bytes();
        Ok(())
    }

    fn node(&self, stat: &Stat) -> Result<Node<'_>, WalkError> {
        Ok(match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Node::File(stat.st_size.cast_unsigned()),
            FileType::Directory => Node::Directory,
            FileType::Symlink => Node::Symlink(&self.target),
            FileType::Fifo => Node::Fifo,
            FileType::CharacterDevice => Node::Character(device(stat)),
            FileType::BlockDevice => Node::Block(device(stat)),
            _ => return Err(WalkError::Socket(self.path())),
        })
    }

    /// The directory from which the current entry is opened.
    fn parent(&self) -> BorrowedFd<'_> {
        self.levels.last().map_or(CWD, |level| level.directory.as_fd())
    }

    /// The entry's name in that directory; the root's is its path.
    fn own_name(&self) -> &OsStr {
        let start = if self.levels.is_empty() { 0 } else { self.parent_length };
        OsStr::from_bytes(&self.path[start..])
    }

    fn path(&self) -> PathBuf {
        OsStr::from_bytes(&self.path).into()
    }

    fn error(&self, action: &'static str, error: Errno) -> WalkError {
        WalkError::Io { action, path: self.path(), source: error.into() }
    }
}

#[allow(clippy::unnecessary_cast, reason = "the field's type differs between systems")]
fn mode(stat: &Stat) -> u16 {
    (stat.st_mode & 0o7777) as u16
}

#[allow(
    clippy::unnecessary_cast,
    clippy::cast_sign_loss,
    reason = "the fields' types differ between systems"
)]
fn changed(stat: &Stat) -> (i64, u64) {
    (stat.st_mtime as i64, stat.st_mtime_nsec as u64)
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
        let mut walk = Walk::new(root.path()).unwrap();
        let mut names = Vec::new();
        while let Some(Found { entry, .. }) = walk.next_entry().unwrap() {
            names.push((entry.depth, str::from_utf8(entry.name).unwrap().to_owned()));
        }
        let expected = [(0, ""), (1, ".hidden"), (1, "a"), (2, "x"), (1, "a-b"), (1, "a.b")];
        assert_eq!(names, expected.map(|(depth, name)| (depth, name.to_owned())));
    }
}
