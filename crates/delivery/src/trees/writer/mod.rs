//! Writes the tree of a layer.

mod files;
mod parents;
mod whiteouts;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Uid, XattrFlags, fchmod, fchown, fsetxattr,
    fstat, futimens, makedev, mkdirat, mknodat, openat, openat2, statat, symlinkat,
};
use rustix::io::Errno;

use self::whiteouts::OPAQUE;
use super::counts::Counts;
use super::entry::{Content, Entry, Time, components, shown};
use super::error::TreeError;
use super::folders::Stack;
use super::metadata::{self, Owner};
use super::remove::remove_tree;
use super::rules::Rules;
use super::way::Way;
use super::ways::Ways;

/// The prefix of a whiteout's name, which hides a file of lower layers.
const WHITEOUT: &[u8] = b".wh.";

/// Writes the tree of one layer from its entries, in the order of its archive. Several threads may
/// each have a writer, for different layers.
///
/// As in the engines, later entries replace earlier ones, an existing directory stays and gets the
/// new metadata, and symbolic links on the way to an entry are followed inside the tree. Dropping a
/// writer leaves an unfinished tree.
#[derive(Debug)]
pub struct TreeWriter<'a> {
    ways: &'a Ways,
    rules: &'a Rules<'a>,
    /// The directory of the tree, for error messages.
    tree: PathBuf,
    stack: Stack,
    /// The mode that the tree's root directory gets at the end.
    root_mode: Mode,
    /// The metadata that directories get once nothing more is written into them.
    folders: BTreeMap<Vec<u8>, Folder>,
    /// The inodes of linked files of the store, which must not be changed.
    linked: Vec<u64>,
    reflinks: bool,
    counts: Counts,
}

/// The final metadata of a directory.
#[derive(Debug, Clone, Copy)]
struct Folder {
    owner: Owner,
    mode: Mode,
    /// `None` if it keeps the time of the last change in it.
    mtime: Option<Time>,
}

impl<'a> TreeWriter<'a> {
    /// A writer for an empty directory, whose path is relative to [`Ways::target`].
    pub fn new(ways: &'a Ways, path: &Path, rules: &'a Rules<'a>) -> Result<Self, TreeError> {
        let tree = ways.target_path().join(path);
        let prepare = || {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
            let root = openat2(ways.target(), path, flags, Mode::empty(), resolve)?;
            let mode = Mode::from_raw_mode(fstat(&root)?.st_mode & 0o7777);
            // So that an ordinary user can write, and new entries do not inherit the group.
            fchmod(&root, Mode::RWXU)?;
            metadata::remove_default_acl(root.as_fd())?;
            Ok((root, mode))
        };
        let (root, root_mode) = prepare().map_err(|source| TreeError::Io {
            action: "opening the directory for",
            path: PathBuf::from("/"),
            tree: tree.clone(),
            source,
        })?;
        Ok(Self {
            ways,
            rules,
            tree,
            stack: Stack::new(root),
            root_mode,
            folders: BTreeMap::new(),
            linked: Vec::new(),
            reflinks: ways.way() != Way::Copy,
            counts: Counts::default(),
        })
    }

    /// Writes an entry.
    pub fn write(&mut self, entry: &Entry<'_>, content: Content<'_>) -> Result<(), TreeError> {
        let names = components(entry.path)?;
        let Some((name, parents)) = names.split_last() else {
            return self.write_root(entry, &content);
        };
        let hidden = name.as_bytes().strip_prefix(WHITEOUT);
        if !self.enter(entry, parents)? {
            let is_passed_over =
                !self.rules.is_containerd && hidden.is_some_and(|hidden| hidden != OPAQUE);
            return if is_passed_over { Ok(()) } else { Err(not_a_directory(entry)) };
        }
        match hidden {
            Some(hidden) => self.write_whiteout(entry, OsStr::from_bytes(hidden))?,
            None => self.write_named(entry, name, content)?,
        }
        Ok(())
    }

    /// Sets the final metadata of directories, which completes the tree.
    pub fn finish(mut self) -> Result<Counts, TreeError> {
        // Inner directories come after outer ones and must be finished first.
        for (path, folder) in std::mem::take(&mut self.folders).into_iter().rev() {
            if path.is_empty() {
                self.root_mode = folder.mode;
            }
            let finished = self.finish_folder(&path, folder);
            finished.map_err(|error| self.failed_at("finishing", &path, error))?;
        }
        let set = fchmod(self.stack.root(), self.root_mode);
        set.map_err(|error| self.failed_at("finishing", b"/", error.into()))?;
        Ok(self.counts)
    }

    fn finish_folder(&mut self, path: &[u8], folder: Folder) -> io::Result<()> {
        let names: Vec<_> =
            path.split(|&byte| byte == b'/').filter(|name| !name.is_empty()).collect();
        let names: Vec<_> = names.into_iter().map(OsStr::from_bytes).collect();
        let kept = self.stack.keep(&names);
        for name in &names[kept..] {
            let opened = open_folder(self.stack.top(), name)?;
            self.stack.push(name, opened);
        }
        let directory = self.stack.top();
        let (uid, gid) = folder.owner;
        fchown(directory, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
        fchmod(directory, folder.mode)?;
        if let Some(time) = folder.mtime {
            futimens(directory, &time.bounded().stamps())?;
        }
        Ok(())
    }

    /// Writes an entry for the root itself.
    fn write_root(&mut self, entry: &Entry<'_>, content: &Content<'_>) -> Result<(), TreeError> {
        if !self.rules.root_entry || !entry.path.is_empty() {
            return Ok(());
        }
        if !matches!(content, Content::Directory) {
            return Err(TreeError::Entry {
                path: entry.shown(),
                why: "the root is not a directory",
            });
        }
        self.stack.clear();
        let set = self.set_xattrs(entry, self.stack.root());
        set.map_err(|error| self.failed("making", entry, error))?;
        self.note_folder(entry, Vec::new())
    }

    /// Writes an entry with a name into the current directory.
    fn write_named(
        &mut self,
        entry: &Entry<'_>,
        name: &OsStr,
        content: Content<'_>,
    ) -> Result<(), TreeError> {
        let kind = match content {
            Content::Directory => return self.write_directory(entry, name),
            Content::Stored { directory, name: stored, size } => {
                return self.write_stored(entry, name, (directory, stored), size);
            }
            Content::Bytes { from, size } => return self.write_bytes(entry, name, from, size),
            Content::HardLink(target) => return self.write_hard_link(entry, name, target),
            Content::Symlink(target) => {
                self.make(entry, name, |directory| Ok(symlinkat(target, directory, name)?))?;
                FileType::Symlink
            }
            Content::Fifo => self.make_node(entry, name, FileType::Fifo, (0, 0))?,
            Content::Character(..) | Content::Block(..) if self.rules.rootless => return Ok(()),
            Content::Character(major, minor) => {
                self.make_node(entry, name, FileType::CharacterDevice, (major, minor))?
            }
            Content::Block(major, minor) => {
                self.make_node(entry, name, FileType::BlockDevice, (major, minor))?
            }
        };
        let owner = self.owner(entry)?;
        let place = (self.stack.top(), name);
        let applied = metadata::apply_to_name(place, kind, owner, entry, self.rules);
        applied.map_err(|error| self.failed("making", entry, error))?;
        self.counts.others += 1;
        Ok(())
    }

    fn make_node(
        &mut self,
        entry: &Entry<'_>,
        name: &OsStr,
        kind: FileType,
        (major, minor): (u32, u32),
    ) -> Result<FileType, TreeError> {
        let mode = Mode::RUSR | Mode::WUSR;
        self.make(entry, name, |directory| {
            Ok(mknodat(directory, name, kind, mode, makedev(major, minor))?)
        })?;
        Ok(kind)
    }

    fn write_directory(&mut self, entry: &Entry<'_>, name: &OsStr) -> Result<(), TreeError> {
        self.make(entry, name, |directory| match mkdirat(directory, name, Mode::RWXU) {
            Err(Errno::EXIST) if is_folder(directory, name) => Ok(()),
            made => Ok(made?),
        })?;
        if !entry.xattrs.is_empty() {
            let directory = open_folder(self.stack.top(), name);
            let set = directory.map_err(io::Error::from);
            let set = set.and_then(|directory| self.set_xattrs(entry, directory.as_fd()));
            set.map_err(|error| self.failed("making", entry, error))?;
        }
        self.note_folder(entry, self.stack.path(name))
    }

    /// Sets the attributes of a directory.
    fn set_xattrs(&self, entry: &Entry<'_>, directory: BorrowedFd<'_>) -> io::Result<()> {
        metadata::set_xattrs(entry.xattrs, self.rules, true, |xattr| {
            fsetxattr(directory, xattr.name, xattr.value, XattrFlags::empty())
        })
    }

    /// Counts a directory, and records its final metadata.
    fn note_folder(&mut self, entry: &Entry<'_>, path: Vec<u8>) -> Result<(), TreeError> {
        self.counts.others += 1;
        let (owner, mode) = (self.owner(entry)?, Mode::from_raw_mode(entry.mode()));
        self.folders.insert(path, Folder { owner, mode, mtime: Some(entry.mtime) });
        Ok(())
    }

    /// Creates something in the current directory, replacing what is there.
    fn make<T>(
        &mut self,
        entry: &Entry<'_>,
        name: &OsStr,
        make: impl Fn(BorrowedFd<'_>) -> io::Result<T>,
    ) -> Result<T, TreeError> {
        let mut made = make(self.stack.top());
        if made.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::AlreadyExists) {
            self.replace(entry, name)?;
            made = make(self.stack.top());
        }
        made.map_err(|error| self.failed("making", entry, error))
    }

    /// Deletes what an entry replaces.
    fn replace(&mut self, entry: &Entry<'_>, name: &OsStr) -> Result<(), TreeError> {
        let directory = self.stack.top();
        if is_folder(directory, name) {
            let path = self.stack.path(name);
            let below = [path.as_slice(), b"/"].concat();
            self.folders.retain(|other, _| *other != path && !other.starts_with(&below));
        }
        remove_tree(directory, name).map_err(|error| match error {
            TreeError::Remove { source, .. } => self.failed("replacing", entry, source),
            error => error,
        })
    }

    fn owner(&self, entry: &Entry<'_>) -> Result<Owner, TreeError> {
        let owner = (self.rules.owner_on_disk)(entry.uid, entry.gid);
        owner.ok_or_else(|| {
            let why = "no owner on disk corresponds to";
            entry.unsupported(format!("{why} {}:{}", entry.uid, entry.gid))
        })
    }

    fn failed(&self, action: &'static str, entry: &Entry<'_>, source: io::Error) -> TreeError {
        self.failed_at(action, entry.path, source)
    }

    fn failed_at(&self, action: &'static str, path: &[u8], source: io::Error) -> TreeError {
        TreeError::Io { action, path: shown(path), tree: self.tree.clone(), source }
    }
}

fn open_folder(directory: BorrowedFd<'_>, name: &OsStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(directory, name, flags, Mode::empty())
}

fn is_folder(directory: BorrowedFd<'_>, name: &OsStr) -> bool {
    statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::Directory)
}

fn not_a_directory(entry: &Entry<'_>) -> TreeError {
    TreeError::Entry { path: entry.shown(), why: "one of its parents is not a directory" }
}
