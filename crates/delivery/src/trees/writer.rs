//! Makes the tree of a layer.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Uid, XattrFlags, chownat, fchmod, fchown,
    fsetxattr, fstat, futimens, linkat, makedev, mkdirat, mknodat, openat, openat2, readlinkat,
    statat, symlinkat,
};
use rustix::io::Errno;

use super::counts::Counts;
use super::entry::{Content, Entry, Time, components, shown};
use super::error::TreeError;
use super::files;
use super::folders::Stack;
use super::metadata::{self, Owner};
use super::remove::remove_tree;
use super::rules::Rules;
use super::way::Way;
use super::ways::Ways;

/// What a file's name begins with that says that a lower layer's file is gone.
const WHITEOUT: &[u8] = b".wh.";
/// What follows if this goes for all that lower layers have in the directory.
const OPAQUE: &[u8] = b".wh..opq";
/// As many symbolic links as the engines follow on the way to an entry.
const MOST_LINKS: usize = 255;

/// Makes the tree of one layer out of its entries, in the order of its archive. Several threads
/// may each have one, for different layers.
///
/// As with the engines, later entries replace earlier ones, a directory that is there stays and
/// takes the new metadata, and symbolic links on the way to an entry are followed within the tree.
/// A writer that is dropped leaves an unfinished tree.
#[derive(Debug)]
pub struct TreeWriter<'a> {
    ways: &'a Ways,
    rules: &'a Rules<'a>,
    /// For messages.
    tree: PathBuf,
    stack: Stack,
    /// The mode that the tree's own directory has when all is done.
    root_mode: Mode,
    /// What directories become when nothing is written into them any more.
    folders: BTreeMap<Vec<u8>, Folder>,
    /// Inodes of the store, which nothing may change.
    linked: Vec<u64>,
    reflinks: bool,
    counts: Counts,
}

/// What becomes of a directory.
#[derive(Debug, Clone, Copy)]
struct Folder {
    owner: Owner,
    mode: Mode,
    /// `None` if it stays when something in it was changed last.
    mtime: Option<Time>,
}

impl<'a> TreeWriter<'a> {
    /// For an empty directory, by its path below [`Ways::target`].
    pub fn new(ways: &'a Ways, path: &Path, rules: &'a Rules<'a>) -> Result<Self, TreeError> {
        let tree = ways.target_path().join(path);
        let prepare = || {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
            let root = openat2(ways.target(), path, flags, Mode::empty(), resolve)?;
            let mode = Mode::from_raw_mode(fstat(&root)?.st_mode & 0o7777);
            // So that who is not root can write, and what is made does not take over the group.
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

    /// Makes what an entry is.
    pub fn write(&mut self, entry: &Entry<'_>, content: Content<'_>) -> Result<(), TreeError> {
        let names = components(entry.path)?;
        let Some((name, parents)) = names.split_last() else {
            return self.write_root(entry, &content);
        };
        let hidden = name.as_bytes().strip_prefix(WHITEOUT);
        if !self.enter(entry, parents)? {
            // What is below a whiteout is gone already.
            return if hidden.is_some() { Ok(()) } else { Err(not_a_directory(entry)) };
        }
        match hidden {
            Some(hidden) => self.write_whiteout(entry, OsStr::from_bytes(hidden))?,
            None => self.write_named(entry, name, content)?,
        }
        Ok(())
    }

    /// Gives the directories what they become. All is done then.
    pub fn finish(mut self) -> Result<Counts, TreeError> {
        // What a directory has comes after it, and is to be done before.
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

    /// An entry for the root itself.
    fn write_root(&mut self, entry: &Entry<'_>, content: &Content<'_>) -> Result<(), TreeError> {
        if !self.rules.root_entry {
            return Ok(());
        }
        if !matches!(content, Content::Directory) {
            return Err(TreeError::Entry {
                path: entry.shown(),
                why: "the root is not a directory",
            });
        }
        self.stack.clear();
        self.note_folder(entry, Vec::new())?;
        self.counts.others += 1;
        Ok(())
    }

    /// Anything with a name, in the directory that was entered.
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
            Content::Character(..) | Content::Block(..) if !self.rules.devices => return Ok(()),
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
        let directory = self.stack.top();
        let is_there =
            mkdirat(directory, name, Mode::RWXU) == Err(Errno::EXIST) && is_folder(directory, name);
        if !is_there {
            // Made already, unless something else is in the way.
            let make = |directory: BorrowedFd<'_>| match mkdirat(directory, name, Mode::RWXU) {
                Err(Errno::EXIST) if is_folder(directory, name) => Ok(()),
                result => Ok(result?),
            };
            self.make(entry, name, make)?;
        }
        if !entry.xattrs.is_empty() {
            let set = || {
                let directory = open_folder(self.stack.top(), name)?;
                metadata::set_xattrs(entry.xattrs, self.rules, true, |xattr| {
                    fsetxattr(&directory, xattr.name, xattr.value, XattrFlags::empty())
                })
            };
            set().map_err(|error| self.failed("making", entry, error))?;
        }
        self.note_folder(entry, self.stack.path(name))?;
        self.counts.others += 1;
        Ok(())
    }

    /// Remembers what a directory becomes.
    fn note_folder(&mut self, entry: &Entry<'_>, path: Vec<u8>) -> Result<(), TreeError> {
        let (owner, mode) = (self.owner(entry)?, Mode::from_raw_mode(entry.mode()));
        self.folders.insert(path, Folder { owner, mode, mtime: Some(entry.mtime) });
        Ok(())
    }

    fn write_stored(
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
            // Where they work, a single file may lack them; where links do, they may not work at all.
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

    /// Links a file of the store; `false` if it is not just what the entry asks for, or takes no
    /// more links.
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
            // As many as it can have; immutable, or protected by the kernel; on another subvolume.
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

    fn write_bytes(
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

    /// Gives a new file what the entry says.
    fn complete(&self, entry: &Entry<'_>, file: BorrowedFd<'_>) -> Result<(), TreeError> {
        let applied = metadata::apply(file, self.owner(entry)?, entry, self.rules);
        applied.map_err(|error| self.failed("writing", entry, error))
    }

    /// A hard link has the metadata of what it leads to. If the entry says something else, all the
    /// names get that, unless one of them is in the store.
    fn write_hard_link(
        &mut self,
        entry: &Entry<'_>,
        name: &OsStr,
        target: &[u8],
    ) -> Result<(), TreeError> {
        let linking = |error: io::Error| self.failed("linking", entry, error);
        let names = components(target)?;
        let Some((target, parents)) = names.split_last() else {
            return Err(entry.unsupported("it links the root"));
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
        if kind == FileType::Symlink || metadata::matches(&found, owner, entry) {
            return Ok(());
        }
        if self.linked.contains(&found.st_ino) {
            return Err(entry.unsupported("it changes a file of the store that it links"));
        }
        let place = (self.stack.top(), name);
        let applied = metadata::apply_to_name(place, kind, owner, entry, self.rules);
        applied.map_err(|error| self.failed("linking", entry, error))
    }

    /// Opens a directory of the tree, with links followed within it.
    fn open_within(&self, names: &[&OsStr]) -> io::Result<OwnedFd> {
        let path: PathBuf = if names.is_empty() { ".".into() } else { names.iter().collect() };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_XDEV | ResolveFlags::NO_MAGICLINKS;
        Ok(openat2(self.stack.root(), path, flags, Mode::empty(), resolve)?)
    }

    /// Something that hides what lower layers have, by a name after the prefix.
    fn write_whiteout(&mut self, entry: &Entry<'_>, hidden: &OsStr) -> Result<(), TreeError> {
        match (hidden.as_bytes(), self.rules.opaque) {
            (OPAQUE, None) => Ok(()),
            (OPAQUE, Some(attribute)) => {
                let none = XattrFlags::empty();
                let set = fsetxattr(self.stack.top(), attribute, b"y", none);
                set.map_err(|error| self.failed("making", entry, error.into()))?;
                self.counts.others += 1;
                Ok(())
            }
            (b"" | b"." | b"..", _) => {
                Err(TreeError::Entry { path: entry.shown(), why: "it hides no name" })
            }
            (_, None) => self.replace(entry, hidden),
            (_, Some(_)) => self.write_device_of_whiteout(entry, hidden),
        }
    }

    fn write_device_of_whiteout(
        &mut self,
        entry: &Entry<'_>,
        hidden: &OsStr,
    ) -> Result<(), TreeError> {
        let (uid, gid) = self.owner(entry)?;
        let directory = self.stack.top();
        let device = FileType::CharacterDevice;
        match mknodat(directory, hidden, device, Mode::empty(), makedev(0, 0)) {
            Err(Errno::EXIST) => {
                return Err(entry.unsupported("it hides what the same layer has"));
            }
            made => made.map_err(|error| self.failed("making", entry, error.into()))?,
        }
        let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        let owned = chownat(directory, hidden, uid, gid, AtFlags::SYMLINK_NOFOLLOW);
        owned.map_err(|error| self.failed("making", entry, error.into()))?;
        self.counts.others += 1;
        Ok(())
    }

    /// Opens the directory that an entry is in, as the innermost; `false` if something on the way
    /// is not one. Directories that are not there are made. Links are followed as if the tree were
    /// the root of the machine.
    fn enter(&mut self, entry: &Entry<'_>, names: &[&OsStr]) -> Result<bool, TreeError> {
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
                        let why = "it is behind too many symbolic links";
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

    /// Makes a directory that no entry has named so far, and enters it.
    fn make_parent(&mut self, name: &OsStr) -> io::Result<()> {
        mkdirat(self.stack.top(), name, Mode::RWXU)?;
        let made = open_folder(self.stack.top(), name)?;
        let path = self.stack.path(name);
        let root = (self.rules.owner_on_disk)(0, 0).ok_or(Errno::PERM)?;
        let mut folder = Folder { owner: root, mode: Mode::from_raw_mode(0o755), mtime: None };
        for lower in &self.rules.lower {
            let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
            let Ok(found) = openat2(lower, OsStr::from_bytes(&path), flags, Mode::empty(), resolve)
            else {
                continue;
            };
            let stat = fstat(&found)?;
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                folder.owner = (stat.st_uid, stat.st_gid);
                folder.mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
                metadata::copy_xattrs(found.as_fd(), made.as_fd())?;
            }
            break;
        }
        self.folders.insert(path, folder);
        self.stack.push(name, made);
        Ok(())
    }

    /// Makes something in the directory that was entered; what is there goes first.
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
            let why = "nobody can own on disk what belongs to";
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
    TreeError::Entry { path: entry.shown(), why: "something on the way is not a directory" }
}
