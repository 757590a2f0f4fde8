//! Merges trees: the entries come in the order of a single walk, and each directory comes once.

use std::cmp::Ordering;
use std::ffi::OsStr;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::Arc;

use super::StoreLayer;
use super::cursor::Cursor;
use super::tree::{self, Tree};
use crate::content::ReadError;
use crate::store::{self, Entry, Listing, Node, StorePath, WalkError};

/// The trees of a layer that are copied into the root. Each is in order, so the next entry is the
/// smallest of their next ones.
#[derive(Debug)]
pub(super) struct Merge {
    branches: Vec<Branch>,
}

#[derive(Debug)]
struct Branch {
    tree: Tree,
    /// The next entry, packed; empty at the end.
    next: Vec<u8>,
    /// Whether it belongs to the current entry.
    at_hand: bool,
}

impl Merge {
    pub(super) fn new(
        layer: &StoreLayer,
        listings: Option<&Arc<[Listing]>>,
        store: Option<BorrowedFd<'_>>,
    ) -> Result<Self, ReadError> {
        let first = layer.paths.len();
        let branch = |(number, path): (usize, &StorePath)| -> Result<_, ReadError> {
            let mut tree = Tree::new(layer, first + number, listings, store)?;
            // The root's entry comes from the customisation layer.
            match tree.next_entry()? {
                Some((Entry { node: Node::Directory, .. }, _)) => {}
                _ => return Err(WalkError::NotDirectory(path.as_str().to_owned()).into()),
            }
            Ok(Branch { tree, next: Vec::new(), at_hand: true })
        };
        let branches =
            layer.copied.iter().enumerate().map(branch).collect::<Result<_, ReadError>>()?;
        Ok(Self { branches })
    }

    /// Moves to the next entry; `false` at the end.
    pub(super) fn advance(&mut self, layer: &StoreLayer) -> Result<bool, WalkError> {
        loop {
            for branch in &mut self.branches {
                branch.advance()?;
            }
            let waiting = self.branches.iter().filter(|branch| !branch.next.is_empty());
            let least = waiting.map(Branch::name).min_by(|a, b| order(a, b));
            let Some(least) = least.map(<[u8]>::to_owned) else { return Ok(false) };
            for branch in &mut self.branches {
                branch.at_hand = !branch.next.is_empty() && branch.name() == least;
            }
            self.check(layer)?;
            if !(layer.has_store_parents() && tree::STORE_PARENTS.contains(&&*least)) {
                return Ok(true);
            }
        }
    }

    /// Checks that an entry in several trees is a directory in all of them.
    fn check(&self, layer: &StoreLayer) -> Result<(), WalkError> {
        let mut trees = self.trees(layer);
        let (Some(first), Some(second)) = (trees.next(), trees.next()) else { return Ok(()) };
        let mut at_hand = self.branches.iter().filter(|branch| branch.at_hand);
        if at_hand
            .all(|branch| matches!(branch.entry(), Some(entry) if entry.node == Node::Directory))
        {
            return Ok(());
        }
        let name = at_hand_name(&self.branches);
        let paths = [first, second].map(|path| path.as_str().to_owned());
        Err(WalkError::Collision { name: OsStr::from_bytes(name).into(), paths })
    }

    /// The store paths of the trees that contain the current entry.
    pub(super) fn trees<'a>(
        &self,
        layer: &'a StoreLayer,
    ) -> impl Iterator<Item = &'a StorePath> + Clone {
        let branches = self.branches.iter().zip(&layer.copied);
        branches.filter(|(branch, _)| branch.at_hand).map(|(_, path)| path)
    }

    /// The current entry and its position.
    pub(super) fn entry(&mut self) -> Option<(Entry<'_>, &mut Cursor)> {
        let branch = self.branches.iter_mut().find(|branch| branch.at_hand)?;
        let (entry, _) = Entry::unpack(&branch.next)?;
        Some((entry, &mut branch.tree.cursor))
    }
}

impl Branch {
    /// Moves past the current entry.
    fn advance(&mut self) -> Result<(), WalkError> {
        if self.at_hand {
            self.next.clear();
            if let Some((entry, _)) = self.tree.next_entry()? {
                entry.pack(&mut self.next);
            }
        }
        Ok(())
    }

    fn entry(&self) -> Option<Entry<'_>> {
        Entry::unpack(&self.next).map(|(entry, _)| entry)
    }

    fn name(&self) -> &[u8] {
        self.tree.cursor.name()
    }
}

fn at_hand_name(branches: &[Branch]) -> &[u8] {
    branches.iter().find(|branch| branch.at_hand).map_or(b"", Branch::name)
}

/// The order of a walk: a directory's content comes before names that start with the directory's.
fn order(a: &[u8], b: &[u8]) -> Ordering {
    let (mut a, mut b) = (a.split(|&byte| byte == b'/'), b.split(|&byte| byte == b'/'));
    loop {
        match (a.next(), b.next()) {
            (Some(a), Some(b)) if a == b => {}
            (Some(a), Some(b)) => return store::compare_names(a, b),
            (a, b) => return a.is_some().cmp(&b.is_some()),
        }
    }
}
