//! The cache keys of a layer.

use std::sync::Arc;

use super::{Naming, Ownership, Prebuilt, StoreLayer};
use crate::base::BaseLayer;
use crate::budget::Budget;
use crate::cache::{Key, KeyBuilder};
use crate::store::{self, Identity, Listing, NarHashes, Scan, WalkError};
use formats::digest::Digest;

/// The result of scanning a layer's trees or file.
#[derive(Debug)]
pub(crate) struct Scanned {
    /// The key for exactly these trees.
    pub(crate) key: Key,
    /// The key for trees that should be the same according to their NAR hashes, if there are any.
    pub(crate) same_hashes: Option<Key>,
    /// The approximate number of bytes to hash.
    pub(crate) size: u64,
    /// The listings of the trees, one for each path, if they fit into the budget.
    pub(crate) listings: Option<Arc<[Listing]>>,
}

pub(super) fn scan_store(
    layer: &StoreLayer,
    nar_hashes: &NarHashes,
    budget: &Arc<Budget>,
) -> Result<Scanned, WalkError> {
    let scan = |path| store::scan(&layer.store.physical(path), Some(Listing::new(budget)));
    let scans = layer.trees().map(scan).collect::<Result<Vec<Scan>, _>>()?;
    Ok(Scanned {
        key: of_trees(layer, &scans),
        same_hashes: of_same_hashes(layer, &scans, nar_hashes),
        size: scans.iter().map(|scan| scan.archived_size).sum(),
        listings: scans.into_iter().map(|scan| scan.listing).collect(),
    })
}

pub(super) fn scan_prebuilt(layer: &Prebuilt) -> Result<Scanned, WalkError> {
    let scan = store::scan(&layer.tar, None)?;
    let mut key = KeyBuilder::new("prebuilt");
    key.add(layer.path.as_bytes());
    key.add_identity(&scan.identity);
    key.add(&scan.fingerprint);
    let (key, size) = (key.finish(), scan.archived_size);
    Ok(Scanned { key, same_hashes: None, size, listings: None })
}

/// A remembered fact about a layer of the base image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BaseFact {
    /// The layer matches its diffID.
    Checked,
    /// The digest of its compressed blob.
    Blob,
}

/// The key of a fact about a layer of the base image.
pub(super) fn of_base(fact: BaseFact, layer: &BaseLayer) -> Result<Key, WalkError> {
    let scan = store::scan(layer.archive.path(), None)?;
    let mut key = KeyBuilder::new(match fact {
        BaseFact::Checked => "base",
        BaseFact::Blob => "base blob",
    });
    key.add_identity(&scan.identity);
    key.add(&scan.fingerprint);
    key.add(&layer.member.offset.to_le_bytes());
    Ok(key.finish())
}

/// The key for exactly these trees. `scans` are the results for the paths.
///
/// A NAR hash does not replace a tree's identity: it states what a path should contain, and the
/// digest of a damaged tree must not survive its repair.
fn of_trees(layer: &StoreLayer, scans: &[Scan]) -> Key {
    let mut key = start(layer);
    for (path, scan) in layer.trees().zip(scans) {
        key.add(path.as_str().as_bytes());
        key.add_identity(&scan.identity);
        key.add(&scan.fingerprint);
    }
    key.finish()
}

/// The key for trees that should be the same, here or on another machine: a path in `nar_hashes` is
/// identified by its hash. `None` if none of the paths is in it.
///
/// The entry may be wrong, and must be verified before it is relied on.
fn of_same_hashes(layer: &StoreLayer, scans: &[Scan], nar_hashes: &NarHashes) -> Option<Key> {
    let mut key = start(layer);
    let mut hashed = false;
    for (path, scan) in layer.trees().zip(scans) {
        key.add(path.as_str().as_bytes());
        match nar_hashes.get(path.as_str()) {
            Some(hash) => add_nar_hash(&mut key, hash),
            None => key.add_identity(&scan.identity),
        }
        hashed |= nar_hashes.contains_key(path.as_str());
        // Added even with a NAR hash, which the conf merely claims: this reveals edits in place.
        key.add(&scan.fingerprint);
    }
    hashed.then(|| key.finish())
}

/// A key for the layer that is the same on every machine, made from `kind`, `ownership` and each
/// path with its NAR hash. `None` if any hash is missing.
pub(super) fn portable<'a>(
    kind: &str,
    ownership: &Ownership,
    paths: impl Iterator<Item = &'a str>,
    nar_hashes: &NarHashes,
) -> Option<KeyBuilder> {
    let mut key = KeyBuilder::new("portable");
    key.add(kind.as_bytes());
    add_ownership(&mut key, ownership);
    for path in paths {
        key.add(path.as_bytes());
        add_nar_hash(&mut key, nar_hashes.get(path)?);
    }
    Some(key)
}

/// A digest of the identities of a layer's trees.
pub(super) fn of_roots(roots: &[Identity]) -> Digest {
    let mut key = KeyBuilder::new("trees");
    for root in roots {
        key.add_identity(root);
    }
    key.finish().digest()
}

fn start(layer: &StoreLayer) -> KeyBuilder {
    let mut key = KeyBuilder::new("layer");
    key.add(match layer.naming {
        Naming::Store => b"store",
        Naming::Root => b"root",
    });
    add_ownership(&mut key, &layer.ownership);
    add_copied(&mut key, layer);
    key
}

/// Adds what a layer has in addition to its store paths. For a layer without additions this adds
/// nothing, so its key is the same as before they were introduced.
pub(super) fn add_copied(key: &mut KeyBuilder, layer: &StoreLayer) {
    for path in &layer.copied {
        key.add(b"copied");
        key.add(path.as_str().as_bytes());
    }
    for permission in &layer.permissions {
        key.add(b"permission");
        key.add(permission.text().as_bytes());
    }
}

fn add_ownership(key: &mut KeyBuilder, ownership: &Ownership) {
    for number in [ownership.mtime, ownership.uid, ownership.gid] {
        key.add(&number.to_le_bytes());
    }
    key.add(ownership.uname.as_bytes());
    key.add(ownership.gname.as_bytes());
}

fn add_nar_hash(key: &mut KeyBuilder, hash: &str) {
    key.add(b"narHash");
    key.add(hash.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn portable_keys_need_all_hashes_and_differ_with_each_part() {
        let hashes = NarHashes::from([("/a".into(), "1".into()), ("/b".into(), "2".into())]);
        let ownership = Ownership::default();
        let key = |kind, ownership: &Ownership, paths: &[&'static str]| {
            portable(kind, ownership, paths.iter().copied(), &hashes).map(KeyBuilder::finish)
        };
        let base = key("store", &ownership, &["/a", "/b"]).unwrap();
        let later = Ownership { mtime: 1, ..Ownership::default() };
        for other in [
            key("root", &ownership, &["/a", "/b"]),
            key("store", &later, &["/a", "/b"]),
            key("store", &ownership, &["/b", "/a"]),
            key("store", &ownership, &["/a"]),
        ] {
            assert_ne!(other.unwrap(), base);
        }
        assert_eq!(key("store", &ownership, &["/a", "/c"]), None);
    }
}
