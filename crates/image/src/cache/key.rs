//! What a remembered digest depends on.

use std::collections::HashMap;
use std::fmt;

use crate::compress::Settings;
use crate::layer::{Naming, Ownership, StoreLayer};
use crate::store::{Identity, Scan};
use formats::digest::Digest;
use formats::sha256::Sha256;

/// Names the rules by which layers become bytes; to be changed with any of them, so that no
/// digest that was made by other rules is used.
const FORMAT: &str = "nix-image layer format 1";

/// A cache entry's name: a digest of all that the entry depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key(Digest);

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.hex())
    }
}

impl Key {
    /// The key of a layer of these very trees. `scans` holds what was found at each path.
    ///
    /// A NAR hash does not stand in for a tree's identity: it says what a path should hold, and
    /// the digest of a damaged tree must not outlive its repair.
    pub fn of_layer(layer: &StoreLayer, scans: &[Scan]) -> Self {
        let mut key = KeyBuilder::of_layer(layer);
        for (path, scan) in layer.paths.iter().zip(scans) {
            key.add(path.as_str().as_bytes());
            key.add_identity(&scan.identity);
            key.add(&scan.fingerprint);
        }
        key.finish()
    }

    /// The key of a layer of trees that should be the same, here or on another machine: a path
    /// that `nar_hashes` names is identified by its hash. `None` if it names none of them.
    ///
    /// The entry is somebody's word, to be checked before it is believed.
    pub fn of_same_hashes(
        layer: &StoreLayer,
        scans: &[Scan],
        nar_hashes: &HashMap<String, String>,
    ) -> Option<Self> {
        let mut key = KeyBuilder::of_layer(layer);
        let mut hashed = false;
        for (path, scan) in layer.paths.iter().zip(scans) {
            key.add(path.as_str().as_bytes());
            match nar_hashes.get(path.as_str()) {
                Some(hash) => key.add_nar_hash(hash),
                None => key.add_identity(&scan.identity),
            }
            hashed |= nar_hashes.contains_key(path.as_str());
            // Also with a NAR hash: it is the conf's word, and this shows edits in place.
            key.add(&scan.fingerprint);
        }
        hashed.then(|| key.finish())
    }

    /// The key that a layer of these paths has on every machine, made of nothing but what the conf
    /// says: `kind` and `ownership`, and each path with its NAR hash. None without all of the hashes.
    pub fn portable<'a>(
        kind: &str,
        ownership: &Ownership,
        paths: impl Iterator<Item = &'a str>,
        nar_hashes: &HashMap<String, String>,
    ) -> Option<Self> {
        let mut key = KeyBuilder::new("portable");
        key.add(kind.as_bytes());
        key.add_stamp(ownership);
        for path in paths {
            key.add(path.as_bytes());
            key.add_nar_hash(nar_hashes.get(path)?);
        }
        Some(key.finish())
    }

    /// The digest that the key is.
    pub fn digest(&self) -> Digest {
        self.0
    }

    /// The key of the blob that compression makes of a layer; none without compression.
    pub fn of_blob(diff_id: Digest, settings: Settings) -> Option<Self> {
        let mut key = KeyBuilder::new("blob");
        key.add(settings.format()?.as_bytes());
        key.add(&diff_id.0);
        Some(key.finish())
    }
}

/// Puts a key together.
#[derive(Debug)]
pub struct KeyBuilder(Sha256);

impl KeyBuilder {
    /// Starts the key of an entry of some kind.
    pub fn new(kind: &str) -> Self {
        let mut key = Self(Sha256::new());
        key.add(FORMAT.as_bytes());
        key.add(kind.as_bytes());
        key
    }

    fn of_layer(layer: &StoreLayer) -> Self {
        let mut key = Self::new("layer");
        key.add(match layer.naming {
            Naming::Store => b"store",
            Naming::Root => b"root",
        });
        key.add_stamp(&layer.ownership);
        key
    }

    /// Adds something that the entry depends on. Lengths are part of it, so that no two lists of
    /// things make the same key.
    pub fn add(&mut self, bytes: &[u8]) {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    /// Adds what tells a path from another in its place.
    pub fn add_identity(&mut self, identity: &Identity) {
        match identity {
            Identity::Content(digest) => {
                self.add(b"content");
                self.add(&digest.0);
            }
            Identity::Inode { device, inode, born: (seconds, nanoseconds) } => {
                self.add(b"inode");
                self.add(&device.to_le_bytes());
                self.add(&inode.to_le_bytes());
                self.add(&seconds.to_le_bytes());
                self.add(&nanoseconds.to_le_bytes());
            }
        }
    }

    fn add_stamp(&mut self, ownership: &Ownership) {
        for number in [ownership.mtime, ownership.uid, ownership.gid] {
            self.add(&number.to_le_bytes());
        }
        self.add(ownership.uname.as_bytes());
        self.add(ownership.gname.as_bytes());
    }

    fn add_nar_hash(&mut self, hash: &str) {
        self.add(b"narHash");
        self.add(hash.as_bytes());
    }

    /// The key.
    pub fn finish(self) -> Key {
        Key(Digest(self.0.finish()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn portable_keys_need_all_hashes_and_differ_with_each_part() {
        let hashes = HashMap::from([("/a".into(), "1".into()), ("/b".into(), "2".into())]);
        let ownership = Ownership::default();
        let key = |kind, ownership: &Ownership, paths: &[&'static str]| {
            Key::portable(kind, ownership, paths.iter().copied(), &hashes)
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
