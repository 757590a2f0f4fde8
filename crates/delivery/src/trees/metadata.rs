//! Owners, modes, times and extended attributes of files that are the tree's own.

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

/// Who owns a file on disk.
pub(super) type Owner = (u32, u32);

/// Whether a file is on disk what an entry asks for, but for its bytes and attributes.
pub(super) fn matches(found: &Stat, owner: Owner, entry: &Entry<'_>) -> bool {
    let mtime = entry.mtime.bounded();
    found.st_mode & 0o7777 == entry.mode()
        && (found.st_uid, found.st_gid) == owner
        && found.st_mtime == mtime.seconds
        && u64::from(mtime.nanoseconds) == found.st_mtime_nsec
}

/// Whether a file has attributes that an engine would see. Labels of `SELinux` are of the machine.
pub(super) fn has_xattrs(directory: BorrowedFd<'_>, name: &OsStr) -> Result<bool, Errno> {
    // There is no call for a name below a descriptor before Linux 6.13.
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

/// Gives an open file or directory what the entry says. Its mode was 0600 or 0700 so far: who is
/// not root needs to write to it for its attributes.
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
    // After the owner, as a change of that takes setuid and setgid away.
    fchmod(file, Mode::from_raw_mode(entry.mode()))?;
    futimens(file, &entry.mtime.bounded().stamps())?;
    Ok(())
}

/// The same for what is not opened: symbolic links, devices, pipes.
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

/// Sets those that the engine would set.
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
        // Only files and directories have those of users.
        let may_lack = rules.rootless || !takes_user && xattr.name.starts_with(b"user.");
        match set(xattr) {
            Err(Errno::OPNOTSUPP) => {}
            Err(Errno::PERM) if may_lack => {}
            result => result?,
        }
    }
    Ok(())
}

/// The attributes of an open file that all may have, for another one.
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

/// Takes away what the directory above leaves to a new one for all that will be below.
pub(super) fn remove_default_acl(directory: BorrowedFd<'_>) -> io::Result<()> {
    match fremovexattr(directory, "system.posix_acl_default") {
        Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
