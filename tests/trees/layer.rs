//! A random layer: as an archive for the engines, as a tree made by us, and a tree's contents.

use delivery::trees::{Content, Counts, Entry, Import, Rules, Time, TreeError, TreeWriter};
use delivery::trees::{Ways, Xattr};
use rustix::fs::{lgetxattr, llistxattr};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, lchown};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) path: String,
    pub(super) owner: (u32, u32),
    pub(super) mode: u32,
    pub(super) seconds: i64,
    pub(super) xattrs: Vec<(String, Vec<u8>)>,
    pub(super) node: Node,
}

#[derive(Debug, Clone)]
pub(super) enum Node {
    Directory,
    File { content: Vec<u8>, origin: Origin },
    Symlink(String),
    HardLink(String),
    Fifo,
    Device { is_block: bool, numbers: (u32, u32) },
}

/// Where a file's bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// In a stream.
    Stream,
    /// In a file of the store that is exactly as the layer wants it.
    Alike,
    /// In a file of the store with a different mode and time.
    Different,
}

pub(super) fn item(path: &str, mode: u32, node: Node) -> Item {
    Item { path: path.into(), owner: (0, 0), mode, seconds: 1, xattrs: Vec::new(), node }
}

/// A file that is in the store just as it should be.
pub(super) fn stored(path: &str, content: &str) -> Item {
    let content = content.as_bytes().to_vec();
    item(path, 0o444, Node::File { content, origin: Origin::Alike })
}

pub(super) fn directory(path: &str) -> Item {
    item(path, 0o555, Node::Directory)
}

pub(super) fn symlink(path: &str, target: &str) -> Item {
    item(path, 0o777, Node::Symlink(target.into()))
}

pub(super) fn hard_link(path: &str, target: &str) -> Item {
    item(path, 0o444, Node::HardLink(target.into()))
}

/// Everything belongs to the owner that the layer specifies.
#[expect(clippy::unnecessary_wraps, reason = "other functions may find no owner")]
pub(super) fn same_owner(uid: u32, gid: u32) -> Option<(u32, u32)> {
    Some((uid, gid))
}

/// The layer as an archive.
pub(super) fn archive(items: &[Item]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for item in items {
        let records: Vec<_> = item
            .xattrs
            .iter()
            .map(|(name, value)| (format!("SCHILY.xattr.{name}"), value))
            .collect();
        let records = records.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
        builder.append_pax_extensions(records).unwrap();
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..item.path.len()].copy_from_slice(item.path.as_bytes());
        header.set_uid(item.owner.0.into());
        header.set_gid(item.owner.1.into());
        header.set_mode(item.mode);
        header.set_mtime(item.seconds.try_into().unwrap());
        header.set_size(0);
        let mut content = [].as_slice();
        let kind = match &item.node {
            Node::Directory => tar::EntryType::Directory,
            Node::File { content: bytes, .. } => {
                header.set_size(bytes.len() as u64);
                content = bytes;
                tar::EntryType::Regular
            }
            Node::Symlink(target) => {
                header.set_link_name_literal(target).unwrap();
                tar::EntryType::Symlink
            }
            Node::HardLink(target) => {
                header.set_link_name_literal(target).unwrap();
                tar::EntryType::Link
            }
            Node::Fifo => tar::EntryType::Fifo,
            Node::Device { is_block, numbers } => {
                header.set_device_major(numbers.0).unwrap();
                header.set_device_minor(numbers.1).unwrap();
                if *is_block { tar::EntryType::Block } else { tar::EntryType::Char }
            }
        };
        header.set_entry_type(kind);
        header.set_cksum();
        builder.append(&header, content).unwrap();
    }
    builder.into_inner().unwrap()
}

/// A store and an engine's directory.
#[derive(Debug)]
pub(super) struct Yard {
    _root: Option<TempDir>,
    pub(super) store: PathBuf,
    pub(super) target: PathBuf,
}

impl Yard {
    /// Both on the file system of temporary files.
    pub(super) fn new() -> Self {
        let root = TempDir::with_prefix("nix-image-test-").unwrap();
        let (store, target) = (root.path().join("store"), root.path().join("target"));
        Self { _root: Some(root), ..Self::at(&store, &target) }
    }

    pub(super) fn at(store: &Path, target: &Path) -> Self {
        fs::create_dir_all(store).unwrap();
        fs::create_dir_all(target).unwrap();
        fs::write(store.join("sample"), "a file to try with").unwrap();
        Self { _root: None, store: store.to_owned(), target: target.to_owned() }
    }

    pub(super) fn ways(&self, import: Import) -> Ways {
        Ways::find(&self.store, &self.target, import, Some("sample".as_ref())).unwrap()
    }

    pub(super) fn tree(&self, name: &str) -> PathBuf {
        self.target.join(name)
    }

    /// The name of an item's file in the store.
    pub(super) fn stored(&self, tree: &str, number: usize) -> PathBuf {
        self.store.join(format!("{tree}-{number}"))
    }

    /// Writes the layer's files into the store.
    pub(super) fn fill(&self, name: &str, items: &[Item]) {
        for (number, item) in items.iter().enumerate() {
            let Node::File { content, origin } = &item.node else { continue };
            if *origin == Origin::Stream {
                continue;
            }
            let path = self.stored(name, number);
            fs::write(&path, content).unwrap();
            let (mut mode, mut seconds) = (item.mode, item.seconds);
            if *origin == Origin::Alike {
                lchown(&path, Some(item.owner.0), Some(item.owner.1)).unwrap();
            } else {
                (mode, seconds) = (mode ^ 0o111, seconds + 1);
            }
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.try_into().unwrap());
            File::open(&path).unwrap().set_modified(time).unwrap();
        }
    }

    /// Makes the tree of a layer whose files are in the store.
    pub(super) fn make(
        &self,
        ways: &Ways,
        name: &str,
        items: &[Item],
        rules: &Rules<'_>,
    ) -> Result<Counts, TreeError> {
        self.make_up_to(ways, name, items, rules).map_err(|(_, error)| error)
    }

    /// The same; an error comes with the number of the item that caused it.
    pub(super) fn make_up_to(
        &self,
        ways: &Ways,
        name: &str,
        items: &[Item],
        rules: &Rules<'_>,
    ) -> Result<Counts, (usize, TreeError)> {
        fs::create_dir(self.tree(name)).unwrap();
        let mut writer = TreeWriter::new(ways, name.as_ref(), rules).unwrap();
        for (number, item) in items.iter().enumerate() {
            let stored = self.stored(name, number);
            let mut stream: &[u8];
            let content = match &item.node {
                Node::Directory => Content::Directory,
                Node::File { content, origin: Origin::Stream } => {
                    stream = content;
                    Content::Bytes { size: stream.len() as u64, from: &mut stream }
                }
                Node::File { content, .. } => Content::Stored {
                    directory: ways.store(),
                    name: stored.file_name().unwrap(),
                    size: content.len() as u64,
                },
                Node::Symlink(target) => Content::Symlink(target.as_bytes()),
                Node::HardLink(target) => Content::HardLink(target.as_bytes()),
                Node::Fifo => Content::Fifo,
                Node::Device { is_block: true, numbers } => Content::Block(numbers.0, numbers.1),
                Node::Device { is_block: false, numbers } => {
                    Content::Character(numbers.0, numbers.1)
                }
            };
            let xattrs: Vec<_> = item
                .xattrs
                .iter()
                .map(|(name, value)| Xattr { name: name.as_bytes(), value })
                .collect();
            let entry = Entry {
                path: if item.path == "/" { &[] } else { item.path.as_bytes() },
                uid: item.owner.0,
                gid: item.owner.1,
                mode: item.mode,
                mtime: Time { seconds: item.seconds, nanoseconds: 0 },
                xattrs: &xattrs,
            };
            writer.write(&entry, content).map_err(|error| (number, error))?;
        }
        Ok(writer.finish().unwrap())
    }
}

/// A directory and everything in it, with all metadata except times of the last hour, which are
/// from when it was made.
pub(super) fn contents(root: &Path) -> BTreeMap<Vec<u8>, String> {
    let mut found = BTreeMap::new();
    let mut first_names = BTreeMap::new();
    add_contents(root, b".", &mut first_names, &mut found);
    found
}

fn add_contents(
    path: &Path,
    name: &[u8],
    first_names: &mut BTreeMap<u64, Vec<u8>>,
    found: &mut BTreeMap<Vec<u8>, String>,
) {
    let status = path.symlink_metadata().unwrap();
    let kind = status.file_type();
    let mut line = format!("{:o} {}:{}", status.mode(), status.uid(), status.gid());
    let hour_ago = SystemTime::now() - Duration::from_secs(3600);
    if status.modified().unwrap() < hour_ago {
        write!(line, " {}.{}", status.mtime(), status.mtime_nsec()).unwrap();
    }
    if !kind.is_dir() {
        let first = first_names.entry(status.ino()).or_insert_with(|| name.to_vec());
        write!(line, " {} {} first {}", status.size(), status.rdev(), first.escape_ascii())
            .unwrap();
    }
    if kind.is_symlink() {
        write!(line, " -> {}", fs::read_link(path).unwrap().display()).unwrap();
    }
    if kind.is_file() {
        write!(line, " {}", crate::support::sha256(&fs::read(path).unwrap())).unwrap();
    }
    let mut names = vec![0; 4096];
    let length = llistxattr(path, &mut names[..]).unwrap_or(0);
    let mut names: Vec<_> = names[..length].split(|&byte| byte == 0).collect();
    names.retain(|name| !name.is_empty());
    names.sort_unstable();
    for name in names {
        let mut value = vec![0; 4096];
        let length = lgetxattr(path, name, &mut value[..]).unwrap();
        write!(line, " {}={}", name.escape_ascii(), value[..length].escape_ascii()).unwrap();
    }
    found.insert(name.to_vec(), line);
    if kind.is_dir() {
        let mut names: Vec<_> =
            fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        for inner in names {
            let path_in_tree = [name, b"/", inner.as_bytes()].concat();
            add_contents(&path.join(&inner), &path_in_tree, first_names, found);
        }
    }
}

/// Everything about a store that no tree may change.
pub(super) fn store_contents(store: &Path) -> BTreeMap<Vec<u8>, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(store).unwrap().map(|entry| entry.unwrap()) {
        let name = entry.file_name();
        let mut alone = BTreeMap::new();
        add_contents(&entry.path(), name.as_bytes(), &mut BTreeMap::new(), &mut alone);
        let status = entry.metadata().unwrap();
        let line = alone.remove(OsStr::as_bytes(&name)).unwrap();
        let times = format!("{line} {}.{}", status.mtime(), status.mtime_nsec());
        found.insert(name.as_bytes().to_vec(), times);
    }
    found
}
