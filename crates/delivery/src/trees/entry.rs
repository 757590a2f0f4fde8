//! An entry of a layer.

use std::ffi::OsStr;
use std::io::Read;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use rustix::fs::{Timespec, Timestamps};

use super::error::TreeError;

/// As many as the kernel takes in a path, without the NUL.
const LONGEST_PATH: usize = 4095;
/// As many as a name may have on the file systems that engines use.
const LONGEST_NAME: usize = 255;
/// Each is open while an entry below it is written.
const DEEPEST: usize = 256;

/// A time of last modification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time {
    /// Seconds since the epoch.
    pub seconds: i64,
    /// Nanoseconds of a second.
    pub nanoseconds: u32,
}

impl Time {
    /// Both engines' unpackers take the epoch for what Go's `time.Unix(0, n)` cannot hold.
    pub(super) fn bounded(self) -> Self {
        let latest = i64::MAX / 1_000_000_000;
        let fits = (0..latest).contains(&self.seconds);
        if fits { self } else { Self { seconds: 0, nanoseconds: 0 } }
    }

    /// As times of a file.
    pub(super) fn stamps(self) -> Timestamps {
        let time = Timespec { tv_sec: self.seconds, tv_nsec: self.nanoseconds.into() };
        Timestamps { last_access: time, last_modification: time }
    }
}

/// An extended attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Xattr<'a> {
    /// With its namespace, such as `security.capability`.
    pub name: &'a [u8],
    /// As the kernel takes it.
    pub value: &'a [u8],
}

/// What a layer says of a file.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// Relative to the image's root, without a slash in front; empty or `./` is the root itself.
    pub path: &'a [u8],
    /// The owner in the image.
    pub uid: u32,
    /// The group in the image.
    pub gid: u32,
    /// Twelve bits: permissions, setuid, setgid, sticky.
    pub mode: u32,
    /// When it was last modified.
    pub mtime: Time,
    /// What else is to be kept of it.
    pub xattrs: &'a [Xattr<'a>],
}

/// What an entry is.
#[allow(missing_debug_implementations, reason = "not every `Read` has one")]
pub enum Content<'a> {
    /// A directory.
    Directory,
    /// A file that lies in the store.
    Stored {
        /// The directory where it is, opened below [`Ways::store`](super::Ways::store).
        directory: BorrowedFd<'a>,
        /// Its name there.
        name: &'a OsStr,
        /// Its size in bytes.
        size: u64,
    },
    /// A file whose bytes come from elsewhere.
    Bytes {
        /// Gives as many bytes as `size` says.
        from: &'a mut dyn Read,
        /// How many bytes it has.
        size: u64,
    },
    /// A symbolic link, to anything.
    Symlink(&'a [u8]),
    /// Another name for what an earlier entry of this path made.
    HardLink(&'a [u8]),
    /// A named pipe.
    Fifo,
    /// A character device with its numbers.
    Character(u32, u32),
    /// A block device with its numbers.
    Block(u32, u32),
}

impl Entry<'_> {
    pub(super) fn mode(&self) -> u32 {
        self.mode & 0o7777
    }

    /// The entry's path for a message.
    pub(super) fn shown(&self) -> PathBuf {
        shown(self.path)
    }

    /// Tells what is wrong with it.
    pub(super) fn unsupported(&self, why: impl Into<String>) -> TreeError {
        TreeError::Unsupported { path: self.shown(), why: why.into() }
    }
}

/// A path in the image, for a message.
pub(super) fn shown(path: &[u8]) -> PathBuf {
    OsStr::from_bytes(path).into()
}

/// The names in a path; none for the root.
pub(super) fn components(path: &[u8]) -> Result<Vec<&OsStr>, TreeError> {
    let refused = |why| Err(TreeError::Entry { path: shown(path), why });
    if path.len() > LONGEST_PATH {
        return refused("its path has more than 4095 bytes");
    }
    let mut names = Vec::with_capacity(16);
    let relative = path.strip_suffix(b"/").unwrap_or(path);
    for name in relative.split(|&byte| byte == b'/') {
        match name {
            b"." => {}
            b"" if relative.is_empty() && path.is_empty() => {}
            b"" => return refused("a name in its path is empty"),
            b".." => return refused("it leads upwards"),
            _ if name.contains(&0) => return refused("its path has a NUL"),
            _ if name.len() > LONGEST_NAME => return refused("a name has more than 255 bytes"),
            _ => names.push(OsStr::from_bytes(name)),
        }
    }
    if names.len() > DEEPEST {
        return refused("it is in more than 255 directories");
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
