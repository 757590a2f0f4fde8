//! A layer as an engine unpacks it: entries of a tree, and where they are already.

use std::ffi::OsStr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

use super::tree::{self, Tree};
use super::{LayerReader, Naming, Ownership, StoreLayer};
use crate::content::ReadError;
use crate::store::{Listing, Node};

/// A layer's entries.
#[derive(Debug)]
pub enum Unpacked<'a> {
    /// They are in the store.
    Trees(Trees<'a>),
    /// They have to be read from the layer's tar file.
    Tar(LayerReader<'a>),
}

/// The entries of a layer that is made from trees in the store.
#[derive(Debug)]
pub struct Trees<'a> {
    layer: &'a StoreLayer,
    listings: Option<Arc<[Listing]>>,
}

/// An entry of a layer.
#[derive(Debug)]
pub struct TreeEntry<'a> {
    /// The path from the image's root, without a slash in front; the root's is empty.
    pub path: &'a [u8],
    /// Permission bits, set-id and sticky bits among them.
    pub mode: u32,
    /// What it is.
    pub node: Node<'a>,
    /// Where it is in the store: the directory that it is in, and its name there. `None` for the
    /// parents of the store's entries.
    pub origin: Option<(BorrowedFd<'a>, &'a OsStr)>,
}

impl<'a> Trees<'a> {
    /// All entries of a layer. `listings`, one for each path, spare the walk.
    pub(super) fn new(layer: &'a StoreLayer, listings: Option<Arc<[Listing]>>) -> Self {
        Self { layer, listings }
    }

    /// Owner and time of all the entries.
    pub fn ownership(&self) -> &'a Ownership {
        &self.layer.ownership
    }

    /// Visits the entries in their order, directories before what is in them. `store` is the
    /// store's directory, through which everything is opened.
    ///
    /// # Errors
    ///
    /// If a directory of the store cannot be read, and the visitor's.
    pub fn visit<E: From<ReadError>>(
        &self,
        store: BorrowedFd<'_>,
        mut visitor: impl FnMut(TreeEntry<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.layer.naming == Naming::Store {
            for name in tree::STORE_PARENTS {
                visitor(TreeEntry {
                    path: relative(name),
                    mode: tree::STORE_PARENT_MODE,
                    node: Node::Directory,
                    origin: None,
                })?;
            }
        }
        for path in 0..self.layer.paths.len() {
            let store = self.open_again(store)?;
            let listings = self.listings.as_ref();
            let tree = Tree::new(self.layer, path, listings, Some(store));
            let mut tree = tree.map_err(ReadError::from)?;
            while let Some((entry, cursor)) = tree.next_entry().map_err(ReadError::from)? {
                cursor.open_parent()?;
                visitor(TreeEntry {
                    path: relative(cursor.name()),
                    mode: entry.mode.into(),
                    node: entry.node,
                    origin: Some(cursor.location()),
                })?;
            }
        }
        Ok(())
    }

    fn open_again(&self, store: BorrowedFd<'_>) -> Result<OwnedFd, ReadError> {
        store.try_clone_to_owned().map_err(|source| {
            let path = self.layer.store.physical_dir();
            ReadError::Io { action: "open", path, source }
        })
    }
}

fn relative(name: &[u8]) -> &[u8] {
    name.strip_prefix(b"/").unwrap_or(name)
}
