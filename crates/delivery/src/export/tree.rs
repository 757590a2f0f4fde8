//! The tree of layers on top of each other.
//!
//! Where engines differ, this follows what overlayfs shows of layers that were unpacked separately:
//! a whiteout hides entries of lower layers but none of its own layer, and a directory replaces a
//! lower layer's link. A directory without an entry keeps the attributes that lower layers give it.

use std::collections::BTreeMap;

use super::source::Location;
use crate::error::Problem;
use formats::tar::{Device, Record};

/// The maximum memory for names and headers of all entries: about four million of them.
const MAX_MEMORY: usize = 512 << 20;
/// The memory that an entry takes in addition to its name and records.
const OVERHEAD: usize = 176;
/// The maximum number of symbolic links on the way to an entry, as in the kernel.
const MAX_LINKS: usize = 40;
/// The mode of a directory without an entry; root owns it.
const IMPLIED_MODE: u32 = 0o755;

/// A node's number.
type Id = usize;
const ROOT: Id = 0;

/// Owner, mode, time and extended attributes.
#[derive(Clone, Debug, Default)]
pub(super) struct Metadata {
    pub(super) mode: u32,
    pub(super) uid: i64,
    pub(super) gid: i64,
    /// Seconds since 1970.
    pub(super) mtime: i64,
    /// Records of extended headers that are preserved.
    pub(super) records: Box<[Record]>,
}

/// The content of anything but a directory.
#[derive(Clone, Debug)]
pub(super) enum Content {
    File { location: Location, size: u64 },
    Symlink(Box<[u8]>),
    Character(Device),
    Block(Device),
    Fifo,
}

/// Something that may have several names.
#[derive(Clone, Debug)]
pub(super) struct Inode {
    pub(super) metadata: Metadata,
    pub(super) content: Content,
}

#[derive(Debug)]
struct Node {
    /// The last layer that has it, or has something in it.
    layer: usize,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Directory {
        metadata: Metadata,
        children: BTreeMap<Box<[u8]>, Id>,
    },
    /// The number of an inode.
    Leaf(usize),
}

/// The tree of an image's files.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    inodes: Vec<Inode>,
    /// The current layer, counted from 1; before the first one, it is 0.
    layer: usize,
    memory: usize,
}

/// What a visitor is given.
pub(super) enum Visited<'a> {
    Directory(&'a Metadata),
    /// An inode and its number; names with the same number are hard links to each other.
    Inode(usize, &'a Inode),
}

impl Tree {
    /// An empty root directory.
    pub(super) fn new() -> Self {
        let root = Node { layer: 0, kind: implied() };
        Self { nodes: vec![root], inodes: Vec::new(), layer: 0, memory: 0 }
    }

    /// Begins the next layer.
    pub(super) fn begin_layer(&mut self) {
        self.layer += 1;
    }

    /// Puts a directory, and keeps what lower layers have in it.
    pub(super) fn put_directory(
        &mut self,
        path: &[&[u8]],
        metadata: Metadata,
    ) -> Result<(), Problem> {
        self.charge(records_size(&metadata))?;
        let Some((name, parents)) = path.split_last() else {
            self.set_metadata(ROOT, metadata);
            return Ok(());
        };
        let parent = self.enter(parents)?;
        match self.child(parent, name) {
            Some(id) if self.is_directory(id) => self.set_metadata(id, metadata),
            _ => {
                let kind = Kind::Directory { metadata, children: BTreeMap::new() };
                self.insert(parent, name, kind)?;
            }
        }
        Ok(())
    }

    /// Puts a file, or anything else but a directory, in place of what was there.
    pub(super) fn put(&mut self, path: &[&[u8]], inode: Inode) -> Result<(), Problem> {
        let (name, parents) = path.split_last().ok_or(Problem::Root)?;
        let target = if let Content::Symlink(target) = &inode.content { target.len() } else { 0 };
        self.charge(records_size(&inode.metadata) + target)?;
        let parent = self.enter(parents)?;
        self.inodes.push(inode);
        self.insert(parent, name, Kind::Leaf(self.inodes.len() - 1))
    }

    /// Adds a name for the file at a path. The link's owner, mode and time apply to both names.
    pub(super) fn put_link(
        &mut self,
        path: &[&[u8]],
        target: &[&[u8]],
        metadata: Metadata,
    ) -> Result<(), Problem> {
        let (name, parents) = path.split_last().ok_or(Problem::Root)?;
        let shown = || String::from_utf8_lossy(&target.join(&b'/')).into_owned();
        let found = match target.split_last() {
            Some((name, parents)) => self.find(parents)?.and_then(|id| self.child(id, name)),
            None => Some(ROOT),
        };
        let found = found.ok_or_else(|| Problem::NoTarget(shown()))?;
        let Kind::Leaf(inode) = self.nodes[found].kind else {
            return Err(Problem::LinkedDirectory(shown()));
        };
        self.charge(records_size(&metadata))?;
        let known = &mut self.inodes[inode].metadata;
        let records = if metadata.records.is_empty() {
            std::mem::take(&mut known.records)
        } else {
            metadata.records
        };
        *known = Metadata { records, ..metadata };
        let parent = self.enter(parents)?;
        self.insert(parent, name, Kind::Leaf(inode))
    }

    /// Hides what lower layers have under a name in a directory.
    pub(super) fn hide(&mut self, directory: &[&[u8]], name: &[u8]) -> Result<(), Problem> {
        let directory = self.enter(directory)?;
        if let Some(id) = self.child(directory, name) {
            if self.nodes[id].layer == self.layer {
                self.prune(id);
            } else {
                self.children_mut(directory).remove(name);
            }
        }
        Ok(())
    }

    /// Hides everything that lower layers have in a directory.
    pub(super) fn hide_all(&mut self, directory: &[&[u8]]) -> Result<(), Problem> {
        let directory = self.enter(directory)?;
        self.prune(directory);
        Ok(())
    }

    /// Visits everything, each directory before its content, sorted by the bytes of the names as by
    /// GNU tar's `--sort=name`. Paths start with `./`.
    pub(super) fn visit<'a, E>(
        &'a self,
        mut visitor: impl FnMut(&[u8], Visited<'a>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut path = b"./".to_vec();
        let mut stack = Vec::new();
        if let Kind::Directory { metadata, children } = &self.nodes[ROOT].kind {
            visitor(&path, Visited::Directory(metadata))?;
            stack.push((children.iter(), path.len()));
        }
        while let Some((children, length)) = stack.last_mut() {
            path.truncate(*length);
            let Some((name, &id)) = children.next() else {
                stack.pop();
                continue;
            };
            path.extend_from_slice(name);
            match &self.nodes[id].kind {
                Kind::Leaf(inode) => visitor(&path, Visited::Inode(*inode, &self.inodes[*inode]))?,
                Kind::Directory { metadata, children } => {
                    path.push(b'/');
                    visitor(&path, Visited::Directory(metadata))?;
                    stack.push((children.iter(), path.len()));
                }
            }
        }
        Ok(())
    }

    /// What is at exactly this path: links are not followed.
    pub(super) fn at(&self, path: &[&[u8]]) -> Option<Visited<'_>> {
        Some(match &self.nodes[self.exactly(path)?].kind {
            Kind::Directory { metadata, .. } => Visited::Directory(metadata),
            Kind::Leaf(inode) => Visited::Inode(*inode, &self.inodes[*inode]),
        })
    }

    /// The names in the directory at exactly this path; none if it is not a directory.
    pub(super) fn names(&self, path: &[&[u8]]) -> impl Iterator<Item = &[u8]> {
        let children = self.exactly(path).and_then(|id| match &self.nodes[id].kind {
            Kind::Directory { children, .. } => Some(children),
            Kind::Leaf(_) => None,
        });
        children.into_iter().flat_map(BTreeMap::keys).map(|name| &**name)
    }

    /// The number of inodes in all layers, replaced ones included.
    pub(super) fn inodes(&self) -> usize {
        self.inodes.len()
    }

    /// The directory at a path. Missing directories are created, even in place of something else in
    /// a lower layer.
    fn enter(&mut self, names: &[&[u8]]) -> Result<Id, Problem> {
        let found = self.walk(names, true)?;
        found.ok_or(Problem::NotADirectory)
    }

    /// The directory at a path, if it exists.
    fn find(&mut self, names: &[&[u8]]) -> Result<Option<Id>, Problem> {
        self.walk(names, false)
    }

    /// Walks from the root along a path, following links of the current layer. Without `make`, all
    /// links are followed and nothing is changed.
    fn walk(&mut self, names: &[&[u8]], make: bool) -> Result<Option<Id>, Problem> {
        let mut way = vec![ROOT];
        let mut left: Vec<Box<[u8]>> = names.iter().rev().map(|&name| name.into()).collect();
        let mut links = 0;
        while let Some(name) = left.pop() {
            match &*name {
                b"" | b"." => continue,
                b".." => {
                    way.truncate((way.len() - 1).max(1));
                    continue;
                }
                _ => {}
            }
            let here = way[way.len() - 1];
            match self.child(here, &name) {
                Some(id) if self.is_directory(id) => way.push(id),
                Some(id) if !make || self.nodes[id].layer == self.layer => {
                    let Some(target) = self.target(id) else { return Ok(None) };
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(Problem::Links);
                    }
                    if target.starts_with(b"/") {
                        way.truncate(1);
                    }
                    left.extend(target.rsplit(|&byte| byte == b'/').map(Into::into));
                }
                _ if !make => return Ok(None),
                _ => {
                    self.insert(here, &name, implied())?;
                    way.push(self.nodes.len() - 1);
                }
            }
        }
        if make {
            for &id in &way {
                self.nodes[id].layer = self.layer;
            }
        }
        Ok(way.pop())
    }

    /// Removes what lower layers have below a node.
    fn prune(&mut self, id: Id) {
        let mut left = vec![id];
        while let Some(id) = left.pop() {
            let (nodes, layer) = (&self.nodes, self.layer);
            let Kind::Directory { children, .. } = &nodes[id].kind else { continue };
            let (kept, gone): (Vec<_>, Vec<_>) =
                children.iter().partition(|(_, child)| nodes[**child].layer == layer);
            left.extend(kept.into_iter().map(|(_, &child)| child));
            let gone: Vec<_> = gone.into_iter().map(|(name, _)| name.clone()).collect();
            for name in gone {
                self.children_mut(id).remove(&name);
            }
        }
    }

    fn exactly(&self, path: &[&[u8]]) -> Option<Id> {
        path.iter().try_fold(ROOT, |id, name| self.child(id, name))
    }

    fn insert(&mut self, parent: Id, name: &[u8], kind: Kind) -> Result<(), Problem> {
        self.charge(name.len() + OVERHEAD)?;
        self.nodes.push(Node { layer: self.layer, kind });
        let id = self.nodes.len() - 1;
        self.children_mut(parent).insert(name.into(), id);
        Ok(())
    }

    fn charge(&mut self, bytes: usize) -> Result<(), Problem> {
        self.memory += bytes;
        if self.memory > MAX_MEMORY { Err(Problem::TooMuch(MAX_MEMORY >> 20)) } else { Ok(()) }
    }

    fn child(&self, directory: Id, name: &[u8]) -> Option<Id> {
        match &self.nodes[directory].kind {
            Kind::Directory { children, .. } => children.get(name).copied(),
            Kind::Leaf(_) => None,
        }
    }

    fn children_mut(&mut self, directory: Id) -> &mut BTreeMap<Box<[u8]>, Id> {
        match &mut self.nodes[directory].kind {
            Kind::Directory { children, .. } => children,
            Kind::Leaf(_) => unreachable!("only directories are entered"),
        }
    }

    fn is_directory(&self, id: Id) -> bool {
        matches!(self.nodes[id].kind, Kind::Directory { .. })
    }

    fn set_metadata(&mut self, id: Id, new: Metadata) {
        let node = &mut self.nodes[id];
        node.layer = self.layer;
        if let Kind::Directory { metadata, .. } = &mut node.kind {
            *metadata = new;
        }
    }

    /// The target of a symbolic link.
    fn target(&self, id: Id) -> Option<&[u8]> {
        match self.nodes[id].kind {
            Kind::Leaf(inode) => match &self.inodes[inode].content {
                Content::Symlink(target) => Some(target),
                _ => None,
            },
            Kind::Directory { .. } => None,
        }
    }
}

fn implied() -> Kind {
    let metadata = Metadata { mode: IMPLIED_MODE, ..Metadata::default() };
    Kind::Directory { metadata, children: BTreeMap::new() }
}

fn records_size(metadata: &Metadata) -> usize {
    metadata.records.iter().map(|(key, value)| key.len() + value.len() + 64).sum()
}

#[cfg(test)]
pub(super) mod tests;
