//! Copies trees into a root like `rsync -a`.
//!
//! These rules of rsync affect an image:
//!
//! - If two files have the same place, the later one wins, unless both have the same size and time:
//!   then they count as equal and the first one stays. All files in a store have the same time.
//! - A directory gets the permissions of the last one that was copied to its place.
//! - A link to a directory is copied as a directory (`--copy-dirlinks`), or stays a link and is
//!   written through (`--keep-dirlinks`).
//! - A directory that is not empty is never replaced.

use std::ffi::OsString;
use std::fs::{self, Metadata, Permissions};
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use super::OneLayerError;
use super::walk::names;

/// How links to directories are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirectoryLinks {
    /// They are copied as directories: `rsync --copy-dirlinks`.
    Copy,
    /// They stay links, and files below them are written to their targets: `rsync --keep-dirlinks`.
    Keep,
}

/// Copies the content of the directory `item` into the directory `root`.
pub fn copy(item: &Path, root: &Path, links: DirectoryLinks) -> Result<(), OneLayerError> {
    let metadata = fs::metadata(item).map_err(OneLayerError::io("examine", item))?;
    if !metadata.is_dir() {
        return Err(OneLayerError::NotADirectory(item.to_owned()));
    }
    directory(item, &metadata, root, links)
}

/// Copies a directory to a place that may be occupied.
fn directory(
    source: &Path,
    metadata: &Metadata,
    target: &Path,
    links: DirectoryLinks,
) -> Result<(), OneLayerError> {
    match present(target)? {
        Some(found) if found.is_dir() || keeps(target, &found, links) => {}
        Some(_) => {
            fs::remove_file(target).map_err(OneLayerError::io("remove", target))?;
            fs::create_dir(target).map_err(OneLayerError::io("make", target))?;
        }
        None => fs::create_dir(target).map_err(OneLayerError::io("make", target))?,
    }
    // It gets its own permissions once its content is complete.
    set_mode(target, 0o700)?;
    let mut names = names(source).map_err(OneLayerError::io("list", source))?;
    names.sort_unstable();
    for (name, _) in names {
        let name = OsString::from_vec(name);
        entry(&source.join(&name), &target.join(&name), links)?;
    }
    set_mode(target, metadata.mode())?;
    set_time(target, metadata)
}

/// Copies anything at `source`.
fn entry(source: &Path, target: &Path, links: DirectoryLinks) -> Result<(), OneLayerError> {
    let metadata = fs::symlink_metadata(source).map_err(OneLayerError::io("examine", source))?;
    if metadata.is_dir() {
        return directory(source, &metadata, target, links);
    }
    if metadata.is_file() {
        return file(source, &metadata, target);
    }
    if !metadata.is_symlink() {
        return Err(OneLayerError::Special(source.to_owned()));
    }
    if links == DirectoryLinks::Copy
        && let Ok(followed) = fs::metadata(source)
        && followed.is_dir()
    {
        without_end(source)?;
        return directory(source, &followed, target, links);
    }
    let leads_to = fs::read_link(source).map_err(OneLayerError::io("read the link", source))?;
    make_way(source, target)?;
    symlink(leads_to, target).map_err(OneLayerError::io("make", target))
}

/// Fails for a link to a directory that contains the link.
fn without_end(link: &Path) -> Result<(), OneLayerError> {
    let real = |path: &Path| fs::canonicalize(path).map_err(OneLayerError::io("resolve", link));
    let within = link.parent().map(real).transpose()?;
    if within.is_some_and(|within| real(link).is_ok_and(|real| within.starts_with(real))) {
        return Err(OneLayerError::Endless(link.to_owned()));
    }
    Ok(())
}

fn file(source: &Path, metadata: &Metadata, target: &Path) -> Result<(), OneLayerError> {
    let same = |found: &Metadata| {
        found.is_file() && found.len() == metadata.len() && found.mtime() == metadata.mtime()
    };
    if !present(target)?.as_ref().is_some_and(same) {
        make_way(source, target)?;
        fs::copy(source, target).map_err(OneLayerError::io("copy", source))?;
        set_time(target, metadata)?;
    }
    set_mode(target, metadata.mode())
}

/// Removes what is in the way of a copy of `source`.
fn make_way(source: &Path, target: &Path) -> Result<(), OneLayerError> {
    let removed = match present(target)? {
        None => Ok(()),
        Some(found) if found.is_dir() => fs::remove_dir(target),
        Some(_) => fs::remove_file(target),
    };
    removed.map_err(|error| match error.kind() {
        io::ErrorKind::DirectoryNotEmpty => {
            OneLayerError::Occupied { item: source.to_owned(), place: target.to_owned() }
        }
        _ => OneLayerError::io("remove", target)(error),
    })
}

/// Whether the existing file is a link to a directory that must stay.
fn keeps(target: &Path, found: &Metadata, links: DirectoryLinks) -> bool {
    links == DirectoryLinks::Keep && found.is_symlink() && target.is_dir()
}

/// The existing file's metadata, if there is one.
fn present(target: &Path) -> Result<Option<Metadata>, OneLayerError> {
    match fs::symlink_metadata(target) {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(OneLayerError::io("examine", target)(error)),
    }
}

fn set_mode(target: &Path, mode: u32) -> Result<(), OneLayerError> {
    let permissions = Permissions::from_mode(mode & 0o7777);
    fs::set_permissions(target, permissions).map_err(OneLayerError::io("set the mode of", target))
}

fn set_time(target: &Path, metadata: &Metadata) -> Result<(), OneLayerError> {
    use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
    let time = Timespec { tv_sec: metadata.mtime(), tv_nsec: metadata.mtime_nsec() as _ };
    let times = Timestamps { last_access: time, last_modification: time };
    utimensat(CWD, target, &times, AtFlags::empty())
        .map_err(|error| OneLayerError::io("set the time of", target)(error.into()))
}
