//! The difference between two trees, as a layer on top of the first.
//!
//! Unchanged entries are left out. Changed entries come after an entry for their directory, as
//! engines unpack a layer by itself and would otherwise create directories with attributes of their
//! own. Each name that is gone gets a whiteout; no directory is opaque, as not all programs that
//! read images support that.

use std::collections::HashMap;

use super::source::{ContentReader, Contents, Location};
use super::tree::{Content, Inode, Metadata, Tree, Visited};
use crate::error::{ExportError, Problem};

/// How many bytes are compared at a time.
const COMPARED: usize = 64 << 10;
/// Permission bits, the only part of a mode that matters.
const PERMISSIONS: u32 = 0o7777;

/// The layer that turns `base` into `tree`; both have their contents in `contents`.
pub(super) fn changes(base: &Tree, tree: &Tree, contents: &Contents) -> Result<Tree, ExportError> {
    let changed = Comparison::new(base, tree, contents).changed()?;
    let (layer, way, firsts) = (Tree::new(), Vec::new(), HashMap::new());
    let mut changes = Changes { base, tree, changed, layer, way, firsts };
    tree.visit(|path, visited| {
        changes.put(path, &visited).map_err(|problem| ExportError::Changed {
            path: String::from_utf8_lossy(path).into_owned(),
            problem,
        })
    })?;
    Ok(changes.layer)
}

/// The names of a path that starts with `./`.
fn names(path: &[u8]) -> Vec<&[u8]> {
    path[2..].split(|&byte| byte == b'/').filter(|name| !name.is_empty()).collect()
}

fn same_metadata(one: &Metadata, other: &Metadata) -> bool {
    (one.mode & PERMISSIONS, one.uid, one.gid) == (other.mode & PERMISSIONS, other.uid, other.gid)
}

/// Finds the inodes of a tree that differ from those of its base.
struct Comparison<'a> {
    base: &'a Tree,
    tree: &'a Tree,
    /// Read the contents of the base and of the tree.
    readers: [ContentReader<'a>; 2],
    buffers: [Vec<u8>; 2],
    /// The inode of the base that each inode of the tree corresponds to.
    counterparts: Vec<Option<usize>>,
    /// The inodes of the base that an inode of the tree corresponds to.
    taken: Vec<bool>,
}

impl<'a> Comparison<'a> {
    fn new(base: &'a Tree, tree: &'a Tree, contents: &'a Contents) -> Self {
        Self {
            base,
            tree,
            readers: [ContentReader::new(contents), ContentReader::new(contents)],
            buffers: [vec![0; COMPARED], vec![0; COMPARED]],
            counterparts: vec![None; tree.inodes()],
            taken: vec![false; base.inodes()],
        }
    }

    fn changed(mut self) -> Result<Vec<bool>, ExportError> {
        let mut changed = vec![false; self.tree.inodes()];
        self.tree.visit(|path, visited| {
            if let Visited::Inode(number, inode) = visited {
                changed[number] |= !self.is_as_it_was(path, number, inode)?;
            }
            Ok::<_, ExportError>(())
        })?;
        Ok(changed)
    }

    /// Whether the base has the same inode under this name. If one inode of the base corresponds to
    /// several of the tree, or the other way round, its hard links have changed.
    fn is_as_it_was(
        &mut self,
        path: &[u8],
        number: usize,
        inode: &Inode,
    ) -> Result<bool, ExportError> {
        let Some(Visited::Inode(of_base, before)) = self.base.at(&names(path)) else {
            return Ok(false);
        };
        if let Some(known) = self.counterparts[number] {
            return Ok(known == of_base);
        }
        self.counterparts[number] = Some(of_base);
        if std::mem::replace(&mut self.taken[of_base], true) {
            return Ok(false);
        }
        Ok(match (&before.content, &inode.content) {
            // Permissions of links mean nothing, and programs write different ones.
            (Content::Symlink(one), Content::Symlink(other)) => {
                let (one_owner, other_owner) = (&before.metadata, &inode.metadata);
                one == other && (one_owner.uid, one_owner.gid) == (other_owner.uid, other_owner.gid)
            }
            _ if !same_metadata(&before.metadata, &inode.metadata) => false,
            (
                &Content::File { location: one, size },
                &Content::File { location: other, size: other_size },
            ) => size == other_size && self.same_content([one, other], size)?,
            (Content::Character(one), Content::Character(other))
            | (Content::Block(one), Content::Block(other)) => one == other,
            (Content::Fifo, Content::Fifo) => true,
            _ => false,
        })
    }

    fn same_content(&mut self, locations: [Location; 2], size: u64) -> Result<bool, ExportError> {
        let mut done = 0;
        while done < size {
            let bytes = (size - done).min(COMPARED as u64) as usize;
            for ((reader, buffer), location) in
                self.readers.iter_mut().zip(&mut self.buffers).zip(locations)
            {
                reader.read(location, done, &mut buffer[..bytes])?;
            }
            if self.buffers[0][..bytes] != self.buffers[1][..bytes] {
                return Ok(false);
            }
            done += bytes as u64;
        }
        Ok(true)
    }
}

/// Writes the changes into a layer.
struct Changes<'a> {
    base: &'a Tree,
    tree: &'a Tree,
    /// Which inodes of the tree have changed.
    changed: Vec<bool>,
    layer: Tree,
    /// The directories on the way to the current entry that are not in the layer yet.
    way: Vec<(Vec<u8>, &'a Metadata)>,
    /// The first names of the inodes that are in the layer.
    firsts: HashMap<usize, Vec<u8>>,
}

impl<'a> Changes<'a> {
    fn put(&mut self, path: &[u8], visited: &Visited<'a>) -> Result<(), Problem> {
        while self.way.last().is_some_and(|(directory, _)| !path.starts_with(directory)) {
            self.way.pop();
        }
        match *visited {
            Visited::Directory(metadata) => {
                self.way.push((path.to_owned(), metadata));
                self.put_directory(&names(path), metadata)
            }
            Visited::Inode(number, inode) if self.changed[number] => {
                self.put_way()?;
                self.put_inode(path, number, inode)
            }
            Visited::Inode(..) => Ok(()),
        }
    }

    /// Puts a directory if the base does not have the same one, or if something in it is gone.
    fn put_directory(&mut self, path: &[&[u8]], metadata: &Metadata) -> Result<(), Problem> {
        let before = match self.base.at(path) {
            Some(Visited::Directory(before)) => Some(before),
            _ => None,
        };
        // A layer always has the root.
        if path.is_empty() || before.is_none_or(|before| !same_metadata(before, metadata)) {
            self.put_way()?;
        }
        if before.is_none() {
            return Ok(());
        }
        let (base, tree) = (self.base, self.tree);
        let mut place = path.to_vec();
        for name in base.names(path) {
            place.push(name);
            let is_gone = tree.at(&place).is_none();
            place.pop();
            if is_gone {
                self.put_way()?;
                let whiteout = [b".wh.", name].concat();
                self.layer.put(&[path, &[&whiteout]].concat(), empty_file())?;
            }
        }
        Ok(())
    }

    fn put_inode(&mut self, path: &[u8], number: usize, inode: &Inode) -> Result<(), Problem> {
        if let Some(first) = self.firsts.get(&number) {
            return self.layer.put_link(&names(path), &names(first), inode.metadata.clone());
        }
        self.firsts.insert(number, path.to_owned());
        self.layer.put(&names(path), inode.clone())
    }

    /// Puts the directories on the way to the next entry.
    fn put_way(&mut self) -> Result<(), Problem> {
        for (path, metadata) in self.way.drain(..) {
            self.layer.put_directory(&names(&path), metadata.clone())?;
        }
        Ok(())
    }
}

fn empty_file() -> Inode {
    let location = Location { file: None, offset: 0 };
    let metadata = Metadata { mode: 0o644, ..Metadata::default() };
    Inode { metadata, content: Content::File { location, size: 0 } }
}

#[cfg(test)]
mod tests;
