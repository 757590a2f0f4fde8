//! The entries of a layer.

use std::ffi::OsStr;
use std::io::Read;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use rustix::fs::{Timespec, Timestamps};

use super::error::TreeError;

/// The longest path that the kernel accepts, without the NUL.
const LONGEST_PATH: usize = 4095;
/// The longest name on the file systems that engines use.
const LONGEST_NAME: usize = 255;
/// The maximum depth. All directories on the way to an entry are open while it is written.
const DEEPEST: usize = 256;

/// A time of last modification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time {
    /// Seconds since the epoch.
    pub seconds: i64,
    /// The fraction of a second in nanoseconds.
    pub nanoseconds: u32,
}

impl Time {
    /// Replaces times that Go's `time.Unix(0, n)` cannot represent by the epoch, as both engines
    /// do.
    pub(super) fn bounded(self) -> Self {
        let latest = i64::MAX / 1_000_000_000;
        let fits = (0..latest).contains(&self.seconds);
        if fits { self } else { Self { seconds: 0, nanoseconds: 0 } }
    }

    /// The timestamps for a file.
    pub(super) fn stamps(self) -> Timestamps {
        let time = Timespec { tv_sec: self.seconds, tv_nsec: self.nanoseconds.into() };
        Timestamps { last_access: time, last_modification: time }
    }
}

/// An extended attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Xattr<'a> {
    /// The name with its namespace, such as `security.capability`.
    pub name: &'a [u8],
    /// The value as the kernel stores it.
    pub value: &'a [u8],
}

/// The path and the metadata of a layer's entry.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// Relative to the image's root, without a leading slash. For the root itself, it is empty if
    /// the layer has the name `/`, or else `./`.
    pub path: &'a [u8],
    /// The user ID in the image.
    pub uid: u32,
    /// The group ID in the image.
    pub gid: u32,
    /// Twelve bits: permissions, setuid, setgid and sticky.
    pub mode: u32,
    /// When it was last modified.
    pub mtime: Time,
    /// Its extended attributes.
    pub xattrs: &'a [Xattr<'a>],
}

/// The content of an entry.
#[allow(missing_debug_implementations, reason = "not every `Read` has one")]
pub enum Content<'a> {
    /// A directory.
    Directory,
    /// A file in the store.
    Stored {
        /// The directory it is in, opened below [`Ways::store`](super::Ways::store).
        directory: BorrowedFd<'a>,
        /// Its name in the directory.
        name: &'a OsStr,
        /// Its size in bytes.
        size: u64,
    },
    /// A file that is read from a stream.
    Bytes {
        /// The stream, which has `size` bytes.
        from: &'a mut dyn Read,
        /// Its size in bytes.
        size: u64,
    },
    /// A symbolic link with any target.
    Symlink(&'a [u8]),
    /// A hard link to an earlier entry, with that entry's path.
    HardLink(&'a [u8]),
    /// A named pipe.
    Fifo,
    /// A character device with its major and minor numbers.
    Character(u32, u32),
    /// A block device with its major and minor numbers.
    Block(u32, u32),
}

impl Entry<'_> {
    pub(super) fn mode(&self) -> u32 {
        self.mode & 0o7777
    }

    /// The entry's path, for error messages.
    pub(super) fn shown(&self) -> PathBuf {
        shown(self.path)
    }

    /// The error for an entry that only the engine can unpack.
    pub(super) fn unsupported(&self, why: impl Into<String>) -> TreeError {
        TreeError::Unsupported { path: self.shown(), why: why.into() }
    }
}

/// A path in the image, for error messages.
pub(super) fn shown(path: &[u8]) -> PathBuf {
    OsStr::from_bytes(path).into()
}

/// The components of a path; none for the root.
pub(super) fn components(path: &[u8]) -> Result<Vec<&OsStr>, TreeError> {
    let refused = |why| Err(TreeError::Entry { path: shown(path), why });
    if path.len() > LONGEST_PATH {
        return refused("its path is longer than 4095 bytes");
    }
    let mut names = Vec::with_capacity(16);
    let relative = path.strip_suffix(b"/").unwrap_or(path);
    for name in relative.split(|&byte| byte == b'/') {
        match name {
            b"." => {}
            b"" if relative.is_empty() && path.is_empty() => {}
            b"" => return refused("its path has an empty component"),
            b".." => return refused("its path contains `..`"),
            _ if name.contains(&0) => return refused("its path contains a NUL"),
            _ if name.len() > LONGEST_NAME => {
                return refused("its path has a component longer than 255 bytes");
            }
            _ => names.push(OsStr::from_bytes(name)),
        }
    }
    if names.len() > DEEPEST {
        return refused("it is more than 255 directories deep");
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_names() {
        for (path, names) in [
            ("", [].as_slice()),
            ("./", &[]),
            (".", &[]),
            ("a", &["a"]),
            ("./a/b/", &["a", "b"]),
            ("a/./...", &["a", "..."]),
        ] {
            assert_eq!(components(path.as_bytes()).unwrap(), names, "{path}");
        }
    }

    #[test]
    fn a_path_that_leads_elsewhere_is_refused() {
        let deep = "d/".repeat(10_000);
        let deeper_than_allowed = "d/".repeat(257);
        let long = "n".repeat(256);
        let hostile = ["/", "/etc/x", "..", "../x", "a/../b", "a//b", "a/..", "a//", "a\0b", "//a"];
        for path in hostile.into_iter().chain([&*deep, &deeper_than_allowed, &long]) {
            assert!(components(path.as_bytes()).is_err(), "{path}");
        }
    }

    #[test]
    fn a_time_that_go_does_not_have_is_the_epoch() {
        let time = |seconds| Time { seconds, nanoseconds: 7 };
        let epoch = Time { seconds: 0, nanoseconds: 0 };
        assert_eq!(time(1).bounded(), time(1));
        assert_eq!(time(-1).bounded(), epoch);
        assert_eq!(time(i64::MAX).bounded(), epoch);
    }
}
