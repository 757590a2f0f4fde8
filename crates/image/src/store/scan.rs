//! What a tree is, as far as a digest of it depends on that.

use std::path::Path;

use super::identity::{Identity, identify};
use super::listing::{Listing, Node};
use super::walk::{Walk, WalkError};
use formats::sha256::Sha256;
use formats::tar;

/// What was found at a path.
#[derive(Debug)]
pub struct Scan {
    /// The tree's entries, the root first, if there was room for them.
    pub listing: Option<Listing>,
    /// About how many bytes the tree takes in an archive: its contents, and a header an entry.
    pub archived_size: u64,
    /// SHA-256 over every entry's name, type, mode, size or target, and time of last change.
    pub fingerprint: [u8; 32],
    /// Which tree of that look it is.
    pub identity: Identity,
}

/// Walks the whole tree at `root`, and lists it if a listing to be filled is given.
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
