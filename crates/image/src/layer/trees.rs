//! A layer's entries for unpacking, with their locations in the store.

use std::ffi::OsStr;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use super::part::Part;
use super::{LayerReader, StoreLayer, tree};
use crate::content::ReadError;
use crate::store::{Listing, Node};

/// A layer's entries.
#[derive(Debug)]
pub enum Unpacked<'a> {
    /// The entries are in the store.
    Trees(Trees<'a>),
    /// The entries must be read from the layer's tar file.
    Tar(LayerReader<'a>),
}

/// The entries of a layer made from trees in the store.
#[derive(Debug)]
pub struct Trees<'a> {
    layer: &'a StoreLayer,
    listings: Option<Arc<[Listing]>>,
}

/// An entry of a layer.
#[derive(Debug)]
pub struct TreeEntry<'a> {
    /// The path from the image's root, without a leading slash; empty for the root.
    pub path: &'a [u8],
    /// Permission bits, including the set-id and sticky bits.
    pub mode: u32,
    /// The owner's ID.
    pub uid: i64,
    /// The group's ID.
    pub gid: i64,
    /// The type of entry.
    pub node: Node<'a>,
    /// The entry's directory in the store, and its name there. `None` for the store's parent
    /// directories.
    pub origin: Option<(BorrowedFd<'a>, &'a OsStr)>,
}

impl<'a> Trees<'a> {
    /// All entries of a layer. `listings`, one for each path, save walking the trees again.
    pub(super) fn new(layer: &'a StoreLayer, listings: Option<Arc<[Listing]>>) -> Self {
        Self { layer, listings }
    }

    /// The time of all entries, in seconds since 1970.
    pub fn mtime(&self) -> i64 {
        self.layer.ownership.mtime
    }

    /// Visits the entries in order, directories before their contents. `store` is the store's open
    /// directory, through which everything is opened.
    ///
    /// # Errors
    ///
    /// If a directory in the store cannot be read, and the visitor's errors.
    pub fn visit<E: From<ReadError>>(
        &self,
        store: BorrowedFd<'_>,
        mut visitor: impl FnMut(TreeEntry<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let layer = self.layer;
        if layer.has_store_parents() {
            for name in tree::STORE_PARENTS {
                visitor(TreeEntry {
                    path: relative(name),
                    mode: tree::STORE_PARENT_MODE.into(),
                    uid: layer.ownership.uid,
                    gid: layer.ownership.gid,
                    node: Node::Directory,
                    origin: None,
                })?;
            }
        }
        for part in 0..layer.parts() {
            let mut part = Part::new(layer, part, self.listings.as_ref(), Some(store))?;
            while let Some((entry, cursor, attributes)) =
                part.next_entry(layer).map_err(ReadError::from)?
            {
                cursor.open_parent()?;
                visitor(TreeEntry {
                    path: relative(cursor.name()),
                    mode: attributes.mode.into(),
                    uid: attributes.uid,
                    gid: attributes.gid,
                    node: entry.node,
                    origin: Some(cursor.location()),
                })?;
            }
        }
        Ok(())
    }
}

fn relative(name: &[u8]) -> &[u8] {
    name.strip_prefix(b"/").unwrap_or(name)
}
