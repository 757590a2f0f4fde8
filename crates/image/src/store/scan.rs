//! The properties of a tree that its layer's digest depends on.

use std::path::Path;

use super::identity::{Identity, identify};
use super::listing::{Listing, Node};
use super::walk::{Walk, WalkError};
use formats::sha256::Sha256;
use formats::tar;

/// The result of scanning a path.
#[derive(Debug)]
pub struct Scan {
    /// The tree's entries, the root first, if they fit into the budget.
    pub listing: Option<Listing>,
    /// The approximate size of the tree in an archive: its contents, and a header for each entry.
    pub archived_size: u64,
    /// SHA-256 over every entry's name, type, mode, size or target, and modification time.
    pub fingerprint: [u8; 32],
    /// Distinguishes the tree from others with the same fingerprint.
    pub identity: Identity,
}

/// Walks the whole tree at `root`, and fills the listing, if one is given.
pub fn scan(root: &Path, mut listing: Option<Listing>) -> Result<Scan, WalkError> {
    let mut walk = Walk::new(root)?;
    let mut fingerprint = Sha256::new();
    let mut archived_size = 0;
    let mut packed = Vec::new();
    while let Some(found) = walk.next_entry()? {
        packed.clear();
        found.entry.pack(&mut packed);
        let (seconds, nanoseconds) = found.changed;
        fingerprint.update(&packed);
        fingerprint.update(&seconds.to_le_bytes());
        fingerprint.update(&nanoseconds.to_le_bytes());
        archived_size += tar::BLOCK;
        if let Node::File(size) = found.entry.node {
            archived_size += size.next_multiple_of(tar::BLOCK);
        }
        listing = listing.and_then(|listing| listing.with(&packed));
    }
    let identity = identify(root, walk.root()).map_err(|source| WalkError::Io {
        action: "read",
        path: root.to_owned(),
        source,
    })?;
    if let Some(listing) = &mut listing {
        listing.shrink();
    }
    Ok(Scan { listing, archived_size, fingerprint: fingerprint.finish(), identity })
}
