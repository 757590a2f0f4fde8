//! Owners, modes, times and extended attributes of new files.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::BorrowedFd;

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, Stat, Uid, XattrFlags, chmodat, chownat, fchmod, fchown,
    flistxattr, fremovexattr, fsetxattr, futimens, llistxattr, lsetxattr, utimensat,
};
use rustix::io::Errno;

use super::entry::{Entry, Xattr};
use super::mounts::descriptor_path;
use super::rules::Rules;

/// The user and group that own a file on disk.
pub(super) type Owner = (u32, u32);

/// Whether a file already has the metadata of an entry, apart from extended attributes.
pub(super) fn matches(found: &Stat, owner: Owner, entry: &Entry<'_>) -> bool {
    let mtime = entry.mtime.bounded();
    found.st_mode & 0o7777 == entry.mode()
        && (found.st_uid, found.st_gid) == owner
        && found.st_mtime == mtime.seconds
        && u64::from(mtime.nanoseconds) == found.st_mtime_nsec
}

/// Whether a file has attributes that an engine would see. `SELinux` labels do not count, as they
/// belong to the machine.
pub(super) fn has_xattrs(directory: BorrowedFd<'_>, name: &OsStr) -> Result<bool, Errno> {
    // Before Linux 6.13, there is no system call for a name relative to a descriptor.
    let mut path = OsString::from(descriptor_path(directory) + "/");
    path.push(name);
    let mut names = [0; 256];
    match llistxattr(&path, &mut names) {
        Ok(length) => Ok(names[..length]
            .split(|&byte| byte == 0)
            .any(|name| !name.is_empty() && name != b"security.selinux")),
        Err(Errno::OPNOTSUPP) => Ok(false),
        Err(Errno::RANGE) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Sets the metadata of an open file or directory. Its mode is still 0600 or 0700, as an ordinary
/// user must be able to write to it to set attributes.
pub(super) fn apply(
    file: BorrowedFd<'_>,
    owner: Owner,
    entry: &Entry<'_>,
    rules: &Rules<'_>,
) -> io::Result<()> {
    fchown(file, Some(Uid::from_raw(owner.0)), Some(Gid::from_raw(owner.1)))?;
    set_xattrs(entry.xattrs, rules, true, |xattr| {
        fsetxattr(file, xattr.name, xattr.value, XattrFlags::empty())
    })?;
    // After the owner, as changing that clears setuid and setgid.
    fchmod(file, Mode::from_raw_mode(entry.mode()))?;
    futimens(file, &entry.mtime.bounded().stamps())?;
    Ok(())
}

/// Sets the metadata of what cannot be opened: symbolic links, devices, pipes.
pub(super) fn apply_to_name(
    (directory, name): (BorrowedFd<'_>, &OsStr),
    kind: FileType,
    owner: Owner,
    entry: &Entry<'_>,
    rules: &Rules<'_>,
) -> io::Result<()> {
    let (uid, gid) = (Some(Uid::from_raw(owner.0)), Some(Gid::from_raw(owner.1)));
    chownat(directory, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
    if !entry.xattrs.is_empty() {
        let mut path = OsString::from(descriptor_path(directory) + "/");
        path.push(name);
        set_xattrs(entry.xattrs, rules, kind == FileType::RegularFile, |xattr| {
            lsetxattr(&path, xattr.name, xattr.value, XattrFlags::empty())
        })?;
    }
    if kind != FileType::Symlink {
        chmodat(directory, name, Mode::from_raw_mode(entry.mode()), AtFlags::empty())?;
    }
    let stamps = entry.mtime.bounded().stamps();
    utimensat(directory, name, &stamps, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(())
}

/// Sets the attributes that the engine would set.
pub(super) fn set_xattrs(
    xattrs: &[Xattr<'_>],
    rules: &Rules<'_>,
    takes_user: bool,
    set: impl Fn(&Xattr<'_>) -> Result<(), Errno>,
) -> io::Result<()> {
    for xattr in xattrs {
        if rules.ignored_xattrs.iter().any(|start| xattr.name.starts_with(start.as_bytes())) {
            continue;
        }
        // Only files and directories can have attributes in `user.`.
        let may_lack = rules.rootless || !takes_user && xattr.name.starts_with(b"user.");
        match set(xattr) {
            Err(Errno::OPNOTSUPP) => {}
            Err(Errno::PERM) if may_lack => {}
            result => result?,
        }
    }
    Ok(())
}

/// Copies the attributes of an open file, except those in `trusted.`.
pub(super) fn copy_xattrs(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    let mut names = vec![0; 64 << 10];
    let length = match flistxattr(from, &mut names[..]) {
        Err(Errno::OPNOTSUPP) => return Ok(()),
        length => length?,
    };
    for name in names[..length].split(|&byte| byte == 0) {
        if name.is_empty() || name.starts_with(b"trusted.") {
            continue;
        }
        let mut value = vec![0; 64 << 10];
        let length = rustix::fs::fgetxattr(from, name, &mut value[..])?;
        fsetxattr(to, name, &value[..length], XattrFlags::empty())?;
    }
    Ok(())
}

/// Removes the default ACL that a new directory has inherited.
pub(super) fn remove_default_acl(directory: BorrowedFd<'_>) -> io::Result<()> {
    match fremovexattr(directory, "system.posix_acl_default") {
        Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
