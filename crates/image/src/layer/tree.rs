//! One of a layer's trees, entry by entry.

use std::os::fd::BorrowedFd;
use std::sync::Arc;

use super::cursor::Cursor;
use super::{Naming, StoreLayer};
use crate::content::ReadError;
use crate::store::{Entry, Listing, Walk, WalkError};

/// Directories at the start of every layer of store paths, wherever the store is. Part of every
/// user's layer digests.
pub(super) const STORE_PARENTS: [&[u8]; 2] = [b"/nix", b"/nix/store"];
/// Their mode.
pub(super) const STORE_PARENT_MODE: u16 = 0o755;

/// A store path that is being read.
#[derive(Debug)]
pub(super) struct Tree {
    source: Source,
    pub(super) cursor: Cursor,
}

/// The source of the entries.
#[derive(Debug)]
enum Source {
    /// The scan from which the layer's key was made.
    Listing { listings: Arc<[Listing]>, index: usize, position: usize },
    /// Another walk, if the listing did not fit into the budget.
    Walk(Walk),
}

impl Tree {
    /// One of the layer's trees, before its first entry. `store` is the store's open directory, if
    /// files are to be opened through it rather than by their paths.
    pub(super) fn new(
        layer: &StoreLayer,
        index: usize,
        listings: Option<&Arc<[Listing]>>,
        store: Option<BorrowedFd<'_>>,
    ) -> Result<Self, ReadError> {
        let (path, naming) = match index.checked_sub(layer.paths.len()) {
            None => (&layer.paths[index], Some(layer.naming)),
            Some(index) => (&layer.copied[index], None),
        };
        let root = layer.store.physical(path);
        let source = match listings {
            Some(listings) => {
                Source::Listing { listings: Arc::clone(listings), index, position: 0 }
            }
            None => Source::Walk(Walk::new(&root)?),
        };
        let name = match naming {
            Some(Naming::Store) => path.as_str(),
            Some(Naming::Root) => &path.as_str()[path.entry_length()..],
            None => "",
        };
        let name = name.as_bytes().to_owned();
        let cursor = match store {
            Some(store) => {
                let store = store.try_clone_to_owned().map_err(|source| {
                    let path = layer.store.physical_dir();
                    ReadError::Io { action: "open", path, source }
                })?;
                Cursor::within(store, layer.store.relative(path), name)
            }
            None => Cursor::new(root, name),
        };
        Ok(Self { source, cursor })
    }

    /// The next entry and its position; `None` at the tree's end.
    pub(super) fn next_entry(&mut self) -> Result<Option<(Entry<'_>, &mut Cursor)>, WalkError> {
        let entry = match &mut self.source {
            Source::Listing { listings, index, position } => {
                let Some((entry, next)) = listings[*index].entry(*position) else {
                    return Ok(None);
                };
                *position = next;
                entry
            }
            Source::Walk(walk) => match walk.next_entry()? {
                Some(found) => found.entry,
                None => return Ok(None),
            },
        };
        self.cursor.enter(&entry);
        Ok(Some((entry, &mut self.cursor)))
    }
}
