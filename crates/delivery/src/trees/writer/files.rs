//! Writes files: hard links and copies of the store's, files from a stream, and hard links in the
//! tree.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, linkat, openat2, statat};
use rustix::io::Errno;

use super::TreeWriter;
use crate::trees::entry::{Entry, Time, components};
use crate::trees::error::TreeError;
use crate::trees::way::Way;
use crate::trees::{files, metadata};

impl TreeWriter<'_> {
    pub(super) fn write_stored(
        &mut self,
        entry: &Entry<'_>,
        name: &OsStr,
        (directory, stored): (BorrowedFd<'_>, &OsStr),
        size: u64,
    ) -> Result<(), TreeError> {
        if self.ways.way() == Way::Link && self.link(entry, name, (directory, stored), size)? {
            return Ok(());
        }
        let from = files::open_stored(directory, stored);
        let from = from.map_err(|error| self.failed("reading", entry, error))?;
        let found = from.metadata().map_err(|error| self.failed("reading", entry, error))?.len();
        let changed = |found| TreeError::Changed { path: entry.shown(), expected: size, found };
        if found != size {
            return Err(changed(found));
        }
        let file = self.make(entry, name, |directory| files::create(directory, name))?;
        let writing = |error| self.failed("writing", entry, error);
        if self.reflinks && files::reflink(&from, &file).map_err(writing)? {
            self.counts.reflinked.add(size);
        } else {
            // With reflinks, a single file may not support them; with links, reflinks may not work
            // at all.
            self.reflinks &= self.ways.way() == Way::Reflink;
            let copied = files::copy(&from, &file, size);
            let found = copied.map_err(|error| self.failed("writing", entry, error))?;
            if found != size {
                return Err(changed(found));
            }
            self.counts.copied.add(size);
        }
        self.complete(entry, file.as_fd())
    }

    /// Links a file of the store; `false` if its metadata is not that of the entry, or if it cannot
    /// be linked again.
    fn link(
        &mut self,
        entry: &Entry<'_>,
        name: &OsStr,
        (directory, stored): (BorrowedFd<'_>, &OsStr),
        size: u64,
    ) -> Result<bool, TreeError> {
        let reading = |error: Errno| self.failed("reading", entry, error.into());
        let found = statat(directory, stored, AtFlags::SYMLINK_NOFOLLOW).map_err(reading)?;
        let is_it = FileType::from_raw_mode(found.st_mode) == FileType::RegularFile
            && u64::try_from(found.st_size) == Ok(size)
            && entry.xattrs.is_empty()
            && metadata::matches(&found, self.owner(entry)?, entry)
            && !metadata::has_xattrs(directory, stored).map_err(reading)?;
        if !is_it {
            return Ok(false);
        }
        let link = |to: BorrowedFd<'_>| match linkat(directory, stored, to, name, AtFlags::empty())
        {
            // The maximum number of links; immutable, or protected by the kernel; on another
            // subvolume.
            Err(Errno::MLINK | Errno::PERM | Errno::ACCESS | Errno::XDEV) => Ok(false),
            made => Ok(made.map(|()| true)?),
        };
        let is_linked = self.make(entry, name, link)?;
        if is_linked {
            self.linked.push(found.st_ino);
            self.counts.linked.add(size);
        }
        Ok(is_linked)
    }

    pub(super) fn write_bytes(
        &mut self,
        entry: &Entry<'_>,
        name: &OsStr,
        from: &mut dyn Read,
        size: u64,
    ) -> Result<(), TreeError> {
        let mut file = self.make(entry, name, |directory| files::create(directory, name))?;
        let copied = io::copy(&mut from.take(size), &mut file);
        let found = copied.map_err(|error| self.failed("writing", entry, error))?;
        if found != size {
            return Err(TreeError::Changed { path: entry.shown(), expected: size, found });
        }
        self.counts.copied.add(size);
        self.complete(entry, file.as_fd())
    }

    /// Sets the metadata of a new file.
    fn complete(&self, entry: &Entry<'_>, file: BorrowedFd<'_>) -> Result<(), TreeError> {
        let applied = metadata::apply(file, self.owner(entry)?, entry, self.rules);
        applied.map_err(|error| self.failed("writing", entry, error))
    }

    /// Writes a hard link, which has the same metadata as its target. If the entry has other
    /// metadata, it is set for all names, unless the file is in the store.
    pub(super) fn write_hard_link(
        &mut self,
        entry: &Entry<'_>,
        name: &OsStr,
        target: &[u8],
    ) -> Result<(), TreeError> {
        let linking = |error: io::Error| self.failed("linking", entry, error);
        let names = components(target)?;
        let Some((target, parents)) = names.split_last() else {
            return Err(entry.unsupported("it is a hard link to the root"));
        };
        let from = self.open_within(parents).map_err(linking)?;
        let found = statat(&from, *target, AtFlags::SYMLINK_NOFOLLOW);
        let found = found.map_err(|error| linking(error.into()))?;
        self.make(entry, name, |directory| {
            Ok(linkat(&from, *target, directory, name, AtFlags::empty())?)
        })?;
        self.counts.others += 1;
        let owner = self.owner(entry)?;
        let kind = FileType::from_raw_mode(found.st_mode);
        if metadata::matches(&found, owner, entry) {
            return Ok(());
        }
        let mut entry = *entry;
        if kind == FileType::Symlink && !self.rules.is_containerd {
            entry.mtime = Time { seconds: found.st_mtime, nanoseconds: found.st_mtime_nsec as u32 };
        }
        let entry = &entry;
        if self.linked.contains(&found.st_ino) {
            return Err(entry.unsupported("it changes the metadata of a file in the store"));
        }
        let place = (self.stack.top(), name);
        let applied = metadata::apply_to_name(place, kind, owner, entry, self.rules);
        applied.map_err(|error| self.failed("linking", entry, error))
    }

    /// Opens a directory of the tree, following links inside it.
    fn open_within(&self, names: &[&OsStr]) -> io::Result<OwnedFd> {
        let path: PathBuf = if names.is_empty() { ".".into() } else { names.iter().collect() };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_XDEV | ResolveFlags::NO_MAGICLINKS;
        Ok(openat2(self.stack.root(), path, flags, Mode::empty(), resolve)?)
    }
}
