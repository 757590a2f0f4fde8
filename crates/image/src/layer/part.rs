//! The parts of a layer, archived one after the other: each tree of the store, and the tree that is
//! copied into the root.

use std::os::fd::BorrowedFd;
use std::sync::Arc;

use super::StoreLayer;
use super::cursor::Cursor;
use super::merge::Merge;
use super::permissions::Attributes;
use super::tree::Tree;
use crate::content::ReadError;
use crate::store::{Entry, Listing, StorePath, WalkError};

/// A part of a layer that is being read.
#[derive(Debug)]
pub(super) enum Part {
    /// One of the layer's paths.
    Tree { tree: Box<Tree>, number: usize },
    /// Everything that is copied into the root.
    Copied(Merge),
}

impl StoreLayer {
    /// The number of parts.
    pub(super) fn parts(&self) -> usize {
        self.paths.len() + usize::from(!self.copied.is_empty())
    }
}

impl Part {
    /// A part, before its first entry. `store` is the store's open directory, if files are to be
    /// opened through it rather than by their paths.
    pub(super) fn new(
        layer: &StoreLayer,
        number: usize,
        listings: Option<&Arc<[Listing]>>,
        store: Option<BorrowedFd<'_>>,
    ) -> Result<Self, ReadError> {
        if number == layer.paths.len() {
            return Merge::new(layer, listings, store).map(Self::Copied);
        }
        Tree::new(layer, number, listings, store)
            .map(|tree| Self::Tree { tree: Box::new(tree), number })
    }

    /// The next entry, its position, and its mode and owner; `None` at the part's end.
    #[allow(clippy::type_complexity, reason = "the three go together here alone")]
    pub(super) fn next_entry<'a>(
        &mut self,
        layer: &'a StoreLayer,
    ) -> Result<Option<(Entry<'_>, &mut Cursor, Attributes<'a>)>, WalkError> {
        match self {
            Self::Tree { tree, number } => {
                let Some((entry, cursor)) = tree.next_entry()? else { return Ok(None) };
                let trees = [&layer.paths[*number]];
                let attributes = layer.attributes(entry.mode, entry.node, cursor.name(), &trees);
                Ok(Some((entry, cursor, attributes)))
            }
            Self::Copied(merge) => {
                if !merge.advance(layer)? {
                    return Ok(None);
                }
                let trees: Vec<_> = merge.trees(layer).collect();
                Ok(merge.entry().map(|(entry, cursor)| {
                    let attributes =
                        layer.attributes(entry.mode, entry.node, cursor.name(), &trees);
                    (entry, cursor, attributes)
                }))
            }
        }
    }

    /// The next entry's name in the image, and the store paths of the trees that contain it; `None`
    /// at the part's end.
    #[allow(clippy::type_complexity, reason = "the two go together here alone")]
    pub(super) fn next_name<'a>(
        &mut self,
        layer: &'a StoreLayer,
    ) -> Result<Option<(&[u8], Vec<&'a StorePath>)>, WalkError> {
        match self {
            Self::Tree { tree, number } => {
                let next = tree.next_entry()?;
                Ok(next.map(|(_, cursor)| (cursor.name(), vec![&layer.paths[*number]])))
            }
            Self::Copied(merge) => {
                if !merge.advance(layer)? {
                    return Ok(None);
                }
                let trees = merge.trees(layer).collect();
                Ok(merge.entry().map(|(_, cursor)| (cursor.name(), trees)))
            }
        }
    }

    /// The position of the current entry.
    pub(super) fn cursor(&mut self) -> Option<&mut Cursor> {
        match self {
            Self::Tree { tree, .. } => Some(&mut tree.cursor),
            Self::Copied(merge) => merge.entry().map(|(_, cursor)| cursor),
        }
    }
}
