//! Opens and creates the parent directories of entries.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;

use rustix::fs::{Mode, OFlags, ResolveFlags, fstat, mkdirat, openat2, readlinkat};
use rustix::io::Errno;

use super::{Folder, TreeWriter, open_folder};
use crate::trees::entry::Entry;
use crate::trees::error::TreeError;
use crate::trees::metadata;
use crate::trees::rules::Parents;

/// How many symbolic links the engines follow on the way to an entry.
const MOST_LINKS: usize = 255;

impl TreeWriter<'_> {
    /// Opens the parent directory of an entry as the innermost; `false` if one of the parents is
    /// not a directory. Missing directories are created. Links are followed as if the tree were the
    /// root of the machine.
    pub(super) fn enter(&mut self, entry: &Entry<'_>, names: &[&OsStr]) -> Result<bool, TreeError> {
        let kept = self.stack.keep(names);
        if kept == names.len() {
            return Ok(true);
        }
        let mut left: Vec<_> = names[kept..].iter().rev().map(|&name| name.to_owned()).collect();
        let mut links = 0;
        while let Some(name) = left.pop() {
            match name.as_bytes() {
                b"" | b"." => continue,
                b".." => {
                    self.stack.pop();
                    continue;
                }
                _ => {}
            }
            match open_folder(self.stack.top(), &name) {
                Ok(directory) => self.stack.push(&name, directory),
                Err(Errno::NOENT) => self
                    .make_parent(&name)
                    .map_err(|error| self.failed("making a directory for", entry, error))?,
                Err(Errno::LOOP | Errno::NOTDIR) => {
                    let Ok(target) = readlinkat(self.stack.top(), &name, Vec::new()) else {
                        return Ok(false);
                    };
                    links += 1;
                    if links > MOST_LINKS {
                        let why = "its path has too many symbolic links";
                        return Err(TreeError::Entry { path: entry.shown(), why });
                    }
                    let target = target.to_bytes();
                    if target.starts_with(b"/") {
                        self.stack.clear();
                    }
                    let names = target.split(|&byte| byte == b'/').rev();
                    left.extend(names.map(|name| OsStr::from_bytes(name).to_owned()));
                }
                Err(error) => return Err(self.failed("making", entry, error.into())),
            }
        }
        Ok(true)
    }

    /// Creates a directory that no entry has named so far, and enters it.
    fn make_parent(&mut self, name: &OsStr) -> io::Result<()> {
        mkdirat(self.stack.top(), name, Mode::RWXU)?;
        let made = open_folder(self.stack.top(), name)?;
        let path = self.stack.path(name);
        let folder = self.parent(&path, made.as_fd())?;
        self.folders.insert(path, folder);
        self.stack.push(name, made);
        Ok(())
    }

    /// The final metadata of a directory without an entry.
    fn parent(&self, path: &[u8], made: BorrowedFd<'_>) -> io::Result<Folder> {
        let mut owner = (self.rules.owner_on_disk)(0, 0).ok_or(Errno::PERM)?;
        let mut mode = Mode::from_raw_mode(0o755);
        let above = path.iter().rposition(|&byte| byte == b'/').map_or(&[][..], |at| &path[..at]);
        let above = self.folders.get(above).filter(|above| above.mode.contains(Mode::SGID));
        match &self.rules.parents {
            Parents::OfRoot if above.is_some() => mode |= Mode::SGID,
            Parents::OfRoot => {}
            Parents::AsBelow(lower) => {
                if let Some(found) = lower.iter().find_map(|lower| open_below(lower, path)) {
                    let stat = fstat(&found)?;
                    owner = (stat.st_uid, stat.st_gid);
                    mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
                    metadata::copy_xattrs(found.as_fd(), made)?;
                } else if let Some(above) = above {
                    owner.1 = above.owner.1;
                }
            }
        }
        Ok(Folder { owner, mode, mtime: None })
    }
}

/// Opens a directory in a lower layer, following links inside it.
fn open_below(lower: &OwnedFd, path: &[u8]) -> Option<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    openat2(lower, OsStr::from_bytes(path), flags, Mode::empty(), resolve).ok()
}
