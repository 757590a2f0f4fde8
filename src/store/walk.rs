//! Walks the tree below a store path, relative to open directories, in Python's order.

use std::cmp::Ordering;
use std::ffi::{CStr, OsStr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat, openat, readlinkat, statat};
use thiserror::Error;

use super::listing::{Entry, Listing, Node};
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

/// Tells a path from another that was later put in its place.
///
/// Neither times of inode changes nor the inodes of files below take part:
/// `nix-store --optimise` changes those without changing any content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// Device, inode and time of birth of the root (of its last inode change, where the file
    /// system keeps no time of birth).
    Inode {
        /// Device number.
        device: u64,
        /// Inode number.
        inode: u64,
        /// Seconds and nanoseconds.
        born: (i64, u32),
    },
    /// The root is a small file: SHA-256 of its content.
    Content([u8; 32]),
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
    let identity = identify(root, &stat)?;
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

/// A directory's names in Python's order, without `.` and `..`.
struct Names {
    /// The names, each with a final NUL.
    bytes: Vec<u8>,
    /// Start and length of each.
    index: Vec<(u32, u32)>,
}

impl Names {
    fn get(&self, index: usize) -> Option<&CStr> {
        let &(start, length) = self.index.get(index)?;
        CStr::from_bytes_with_nul(&self.bytes[start as usize..][..=length as usize]).ok()
    }

    fn read(directory: BorrowedFd<'_>) -> rustix::io::Result<Self> {
        let mut names = Self { bytes: Vec::new(), index: Vec::new() };
        each_name(directory, |name| {
            if name != c"." && name != c".." {
                names.index.push((names.bytes.len() as u32, name.count_bytes() as u32));
                names.bytes.extend_from_slice(name.to_bytes_with_nul());
            }
        })?;
        let Self { bytes, index } = &mut names;
        let text = |&(start, length): &(u32, u32)| &bytes[start as usize..][..length as usize];
        // The bytes' order is the characters' order, unless some bytes are none.
        if index.iter().all(|name| str::from_utf8(text(name)).is_ok()) {
            index.sort_unstable_by(|a, b| text(a).cmp(text(b)));
        } else {
            index.sort_unstable_by(|a, b| compare(text(a), text(b)));
        }
        Ok(names)
    }
}

#[cfg(target_os = "linux")]
fn each_name(directory: BorrowedFd<'_>, mut visit: impl FnMut(&CStr)) -> rustix::io::Result<()> {
    let mut buffer = Vec::with_capacity(32 << 10);
    let mut entries = rustix::fs::RawDir::new(directory, buffer.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        visit(entry?.file_name());
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn each_name(directory: BorrowedFd<'_>, mut visit: impl FnMut(&CStr)) -> rustix::io::Result<()> {
    for entry in rustix::fs::Dir::read_from(directory)? {
        visit(entry?.file_name());
    }
    Ok(())
}

/// Compares names as Python compares the strings that `os.fsdecode` makes of them: by code
/// point, a byte 0x80 to 0xff that is not UTF-8 standing for U+DC80 to U+DCFF.
fn compare(a: &[u8], b: &[u8]) -> Ordering {
    fn code_points(bytes: &[u8]) -> impl Iterator<Item = u32> {
        bytes.utf8_chunks().flat_map(|chunk| {
            let invalid = chunk.invalid().iter().map(|&byte| 0xdc00 + u32::from(byte));
            chunk.valid().chars().map(u32::from).chain(invalid)
        })
    }
    code_points(a).cmp(code_points(b))
}

/// A root that is a file up to this size is identified by its content.
const SMALL_ROOT: u64 = 64 << 10;

#[allow(clippy::unnecessary_cast, reason = "the fields' types differ between systems")]
fn identify(root: &Path, stat: &Stat) -> Result<Identity, WalkError> {
    let file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    if file && stat.st_size.cast_unsigned() <= SMALL_ROOT {
        let content = std::fs::read(root).map_err(|source| WalkError::Io {
            action: "read",
            path: root.to_owned(),
            source,
        })?;
        let mut hash = Sha256::new();
        hash.update(&content);
        return Ok(Identity::Content(hash.finish()));
    }
    let born = birth(root).unwrap_or((stat.st_ctime as i64, stat.st_ctime_nsec as u32));
    Ok(Identity::Inode { device: stat.st_dev as u64, inode: stat.st_ino as u64, born })
}

#[cfg(target_os = "linux")]
fn birth(path: &Path) -> Option<(i64, u32)> {
    use rustix::fs::{StatxFlags, statx};
    let stat = statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BTIME).ok()?;
    let known = StatxFlags::from_bits_retain(stat.stx_mask).contains(StatxFlags::BTIME);
    known.then_some((stat.stx_btime.tv_sec, stat.stx_btime.tv_nsec))
}

#[cfg(not(target_os = "linux"))]
fn birth(_path: &Path) -> Option<(i64, u32)> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_ordered_by_pythons_code_points() {
        // U+DCFF stands before U+E000 and the astral planes, though its byte is the greatest.
        let ordered: &[&[u8]] = &[
            b"Z",
            b"a",
            b"a-b",
            "é".as_bytes(),
            b"\x80",
            b"\xff",
            "\u{ffee}".as_bytes(),
            "😀".as_bytes(),
        ];
        for pair in ordered.windows(2) {
            assert_eq!(compare(pair[0], pair[1]), Ordering::Less, "{pair:?}");
        }
    }

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
