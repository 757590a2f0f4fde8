//! Deletes trees.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, chmodat, openat2, renameat, statat,
    unlinkat,
};
use rustix::io::Errno;

use super::error::TreeError;
use super::mounts::descriptor_path;

/// Deletes a file, or a directory and its contents. Does not follow links or cross mounts.
/// Directories are made writable; files are only unlinked. Succeeds if the name does not exist.
pub fn remove_tree(directory: BorrowedFd<'_>, name: &OsStr) -> Result<(), TreeError> {
    let failed = |error: Errno| TreeError::Remove { path: name.into(), source: error.into() };
    match unlinkat(directory, name, AtFlags::empty()) {
        // POSIX specifies EPERM for directories.
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(Errno::NOENT) => return Ok(()),
        result => return result.map_err(failed),
    }
    let tree = open(directory, name).map_err(failed)?;
    empty(&tree).map_err(failed)?;
    unlinkat(directory, name, AtFlags::REMOVEDIR).map_err(failed)
}

/// Deletes everything in a directory. Deeper directories are moved up into it first, so that two
/// descriptors are enough for any depth.
fn empty(tree: &OwnedFd) -> Result<(), Errno> {
    let mut moved = 0_u64;
    loop {
        let folders = unlink_files(tree)?;
        if folders.is_empty() {
            return Ok(());
        }
        for folder in folders {
            let open = open(tree.as_fd(), &folder)?;
            for inner in unlink_files(&open)? {
                // An empty directory need not be moved.
                if unlinkat(&open, &inner, AtFlags::REMOVEDIR).is_err() {
                    move_up(&open, &inner, tree, &mut moved)?;
                }
            }
            unlinkat(tree, &folder, AtFlags::REMOVEDIR)?;
        }
    }
}

/// Moves a directory into another one, under an unused name.
fn move_up(from: &OwnedFd, name: &OsStr, to: &OwnedFd, number: &mut u64) -> Result<(), Errno> {
    // A directory must be writable to be moved, as its `..` changes.
    drop(open(from.as_fd(), name)?);
    loop {
        *number += 1;
        let free = format!(".nix-image-{number}");
        match statat(to, &free, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return renameat(from, name, to, &free),
            result => drop(result?),
        }
    }
}

/// Deletes everything except directories; returns their names.
fn unlink_files(directory: &OwnedFd) -> Result<Vec<OsString>, Errno> {
    let mut folders = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name == "." || name == ".." {
            continue;
        }
        if entry.file_type() != FileType::Directory {
            match unlinkat(directory, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => continue,
                Err(Errno::ISDIR) => {}
                Err(error) => return Err(error),
            }
        }
        folders.push(OsString::from_vec(name.as_bytes().to_vec()));
    }
    Ok(folders)
}

/// Opens a directory so that its entries can be listed and deleted.
fn open(directory: BorrowedFd<'_>, name: &OsStr) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = |flags| openat2(directory, name, flags, Mode::empty(), resolve);
    let found = open(flags | OFlags::PATH)?;
    if !is_ours(&found)? {
        // Through `/proc`, as the descriptor is `O_PATH`. It can only be a directory.
        chmodat(CWD, descriptor_path(&found), Mode::RWXU, AtFlags::empty())?;
    }
    open(flags | OFlags::RDONLY)
}

/// Whether its owner can list a directory and delete its entries.
fn is_ours(directory: impl AsFd) -> Result<bool, Errno> {
    let mode = rustix::fs::fstat(directory)?.st_mode;
    Ok(mode & Mode::RWXU.bits() == Mode::RWXU.bits())
}
