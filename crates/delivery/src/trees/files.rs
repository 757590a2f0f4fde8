//! New files, made from the store's files or from a stream.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::BorrowedFd;

use rustix::fs::{Mode, OFlags, ioctl_ficlone, openat};
use rustix::io::Errno;

/// Opens a file in the store for reading.
pub(super) fn open_stored(directory: BorrowedFd<'_>, name: &OsStr) -> io::Result<File> {
    // Non-blocking, in case it is not a regular file.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(openat(directory, name, flags, Mode::empty())?);
    if file.metadata()?.is_file() { Ok(file) } else { Err(Errno::INVAL.into()) }
}

/// Creates a new file, with a mode that excludes others until its final mode is set.
pub(super) fn create(directory: BorrowedFd<'_>, name: &OsStr) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    Ok(openat(directory, name, flags, Mode::RUSR | Mode::WUSR)?.into())
}

/// Makes a file share the blocks of another; `false` if the file system does not support it.
pub(super) fn reflink(from: &File, to: &File) -> io::Result<bool> {
    match ioctl_ficlone(to, from) {
        Ok(()) => Ok(true),
        Err(Errno::NOSPC) => Err(Errno::NOSPC.into()),
        Err(Errno::DQUOT) => Err(Errno::DQUOT.into()),
        Err(_) => Ok(false),
    }
}

/// Copies `size` bytes, in the kernel if possible; returns how many bytes there were, counting at
/// most one more.
pub(super) fn copy(from: &File, mut to: &File, size: u64) -> io::Result<u64> {
    let copied = io::copy(&mut from.take(size), &mut to)?;
    if copied < size { Ok(copied) } else { Ok(copied + from.take(1).read(&mut [0])? as u64) }
}
