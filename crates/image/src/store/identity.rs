//! Distinguishes files that look the same.

use std::io;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Stat, statat};

use formats::digest::Digest;

/// The identity of a path, by which a later replacement is noticed.
///
/// The inode change time and the inodes of files below the root are not included: `nix-store
/// --optimise` changes those without changing any content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// Device, inode and birth time of the root (or its inode change time, if the file system does
    /// not record birth times).
    Inode {
        /// Device number.
        device: u64,
        /// Inode number.
        inode: u64,
        /// Seconds and nanoseconds.
        born: (i64, u32),
    },
    /// The SHA-256 of the content of a root that is a small file.
    Content(Digest),
}

/// A root that is a file of up to this size is identified by its content.
const SMALL_ROOT: u64 = 64 << 10;

/// The identity of the file at a path, without following a link.
pub fn identity(path: &Path) -> io::Result<Identity> {
    identify(path, &statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW)?)
}

#[allow(
    clippy::unnecessary_cast,
    clippy::cast_sign_loss,
    reason = "the fields' types differ between systems"
)]
pub(super) fn identify(root: &Path, stat: &Stat) -> io::Result<Identity> {
    let file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    if file && stat.st_size.cast_unsigned() <= SMALL_ROOT {
        return Ok(Identity::Content(Digest::of(&std::fs::read(root)?)));
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
