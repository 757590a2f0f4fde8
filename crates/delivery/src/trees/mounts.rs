//! Lists mounts, and opens directories on clones of mounts without what is mounted on top of them.
//!
//! `link` does not work from one mount to another, even if both show the same file system, such as
//! `/nix/store` on NixOS and what surrounds it. On a clone of a single mount that contains both
//! directories, they are on the same mount. Nothing else on the machine sees the clone.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, StatxFlags, fstat, openat2, statx};
use rustix::mount::{OpenTreeFlags, open_tree};

/// A line of `/proc/self/mountinfo`, see `proc_pid_mountinfo(5)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    id: u64,
    /// `MAJOR:MINOR`.
    device: Vec<u8>,
    /// The directory of the file system that is visible at `point`.
    root: PathBuf,
    point: PathBuf,
    kind: String,
    source: String,
}

impl Mount {
    /// Parses a line; `None` if it is not in the documented format.
    fn parse(line: &[u8]) -> Option<Self> {
        let mut fields = line.split(|&byte| byte == b' ');
        let id = str::from_utf8(fields.next()?).ok()?.parse().ok()?;
        let device = fields.nth(1)?.to_vec();
        let root = unescape(fields.next()?);
        let point = unescape(fields.next()?);
        // Skip the options, and optional fields up to a hyphen.
        let mut fields = fields.skip_while(|&field| field != b"-").skip(1);
        let mut text = || Some(String::from_utf8_lossy(fields.next()?).into_owned());
        Some(Self { id, device, root, point, kind: text()?, source: text()? })
    }

    /// The file system, for messages.
    pub(super) fn describe(&self) -> String {
        format!("{} on {}", self.kind, self.source)
    }
}

/// Decodes `\ooo`, which stands for spaces, tabs, newlines and backslashes.
fn unescape(field: &[u8]) -> PathBuf {
    let mut path = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        let digits = after.get(..3).filter(|digits| byte == b'\\' && digits[0] < b'4');
        let code = digits.filter(|digits| digits.iter().all(|digit| (b'0'..b'8').contains(digit)));
        if let Some(code) = code {
            path.push(code.iter().fold(0, |code, digit| code * 8 + (digit - b'0')));
            rest = &after[3..];
        } else {
            path.push(byte);
            rest = after;
        }
    }
    std::ffi::OsString::from_vec(path).into()
}

/// All mounts that this process can see.
pub(super) fn list() -> io::Result<Vec<Mount>> {
    let text = fs::read("/proc/self/mountinfo")?;
    Ok(text.split(|&byte| byte == b'\n').filter_map(Mount::parse).collect())
}

/// An open directory, and its location in its file system.
#[derive(Debug)]
pub(super) struct Located<'a> {
    pub(super) mount: &'a Mount,
    /// The path from the root of the file system.
    path: PathBuf,
    inode: (u64, u64),
}

impl<'a> Located<'a> {
    /// Locates a directory; `None` if the kernel does not tell.
    pub(super) fn find(directory: impl AsFd, mounts: &'a [Mount]) -> Option<Self> {
        let found = statx(&directory, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID).ok()?;
        let mount = mounts.iter().find(|mount| mount.id == found.stx_mnt_id)?;
        let path = fs::read_link(descriptor_path(&directory)).ok()?;
        let path = mount.root.join(path.strip_prefix(&mount.point).ok()?);
        Some(Self { mount, path, inode: inode(directory).ok()? })
    }

    /// Opens the same directory on a clone of a mount; `None` if another one is there.
    fn open_below(&self, clone: &OwnedFd, root: &Path) -> io::Result<Option<OwnedFd>> {
        let relative = self.path.strip_prefix(root).map_err(io::Error::other)?;
        let relative = if relative == Path::new("") { Path::new(".") } else { relative };
        let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::BENEATH;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let found = openat2(clone, relative, flags, Mode::empty(), resolve)?;
        Ok((inode(&found)? == self.inode).then_some(found))
    }
}

/// Opens two directories of one file system on the same mount, once for each mount that contains
/// both. Needs `CAP_SYS_ADMIN`.
pub(super) fn open_on_one_mount<'a>(
    mounts: &'a [Mount],
    first: &'a Located<'_>,
    second: &'a Located<'_>,
) -> impl Iterator<Item = io::Result<(OwnedFd, OwnedFd)>> + use<'a> {
    let contains_both = |mount: &&Mount| {
        mount.device == first.mount.device
            && mount.device == second.mount.device
            && first.path.starts_with(&mount.root)
            && second.path.starts_with(&mount.root)
    };
    mounts.iter().filter(contains_both).filter_map(move |mount| {
        let open = || {
            let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
            let clone = open_tree(CWD, &mount.point, flags)?;
            let first = first.open_below(&clone, &mount.root)?;
            let second = second.open_below(&clone, &mount.root)?;
            // Another mount may cover the mount's own path.
            Ok(first.zip(second))
        };
        open().transpose()
    })
}

/// A path that reopens a descriptor.
pub(super) fn descriptor_path(descriptor: impl AsFd) -> String {
    format!("/proc/self/fd/{}", descriptor.as_fd().as_raw_fd())
}

fn inode(descriptor: impl AsFd) -> io::Result<(u64, u64)> {
    let found = fstat(descriptor)?;
    Ok((found.st_dev, found.st_ino))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_mountinfo_is_read() {
        let line = br"64 27 254:0 /a\040b /c\134d\011\012 rw,relatime shared:1 master:2 - ext4 /dev/vda rw";
        let mount = Mount::parse(line).unwrap();
        assert_eq!((mount.id, mount.device.as_slice()), (64, b"254:0".as_slice()));
        assert_eq!((mount.root, mount.point), ("/a b".into(), "/c\\d\t\n".into()));
        assert_eq!((mount.kind.as_str(), mount.source.as_str()), ("ext4", "/dev/vda"));
        let plain = Mount::parse(b"1 0 0:1 / / rw - tmpfs none rw").unwrap();
        assert_eq!((plain.kind.as_str(), plain.source.as_str()), ("tmpfs", "none"));
    }

    #[test]
    fn what_is_no_line_is_passed_over() {
        for line in ["", "1", "x 0 0:1 / / rw - tmpfs none rw", "1 0 0:1 / / rw tmpfs none rw"] {
            assert_eq!(Mount::parse(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn what_is_no_escape_stays() {
        for text in ["\\", "\\04", "\\0x0", "\\999", "\\4"] {
            assert_eq!(unescape(text.as_bytes()), Path::new(text), "{text}");
        }
    }

    #[test]
    fn a_directory_is_located() {
        let mounts = list().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let open = fs::File::open(directory.path()).unwrap();
        let located = Located::find(&open, &mounts).unwrap();
        let name = directory.path().file_name().unwrap();
        assert_eq!(located.path.file_name(), Some(name));
    }
}
