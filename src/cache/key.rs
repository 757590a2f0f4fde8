//! What a remembered digest depends on.

use std::collections::HashMap;
use std::fmt;

use crate::digest::Digest;
use crate::layer::{Naming, StoreLayer};
use crate::sha256::Sha256;
use crate::store::{Identity, Scan};

/// Names the rules by which layers become bytes; to be changed with any of them, so that no
/// digest that was made by other rules is used.
const FORMAT: &str = "nix-image layer format 1";

/// A cache entry's name: a digest of all that the entry depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key(Digest);

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl Key {
    /// The key of a layer of store paths. `scans` holds what was found at each of its paths;
    /// a path that `nar_hashes` names is identified by its hash, on every machine, any other one
    /// by what this machine's file system says of its root.
    pub fn of_layer(
        layer: &StoreLayer,
        scans: &[Scan],
        nar_hashes: &HashMap<String, String>,
    ) -> Self {
        let stamp = &layer.stamp;
        let mut key = KeyBuilder::new("layer");
        key.add(match layer.naming {
            Naming::Store => b"store",
            Naming::Root => b"root",
        });
        for number in [stamp.mtime, stamp.uid, stamp.gid] {
            key.add(&number.to_le_bytes());
        }
        key.add(stamp.uname.as_bytes());
        key.add(stamp.gname.as_bytes());
        for (path, scan) in layer.paths.iter().zip(scans) {
            key.add(path.as_str().as_bytes());
            match nar_hashes.get(path.as_str()) {
                Some(hash) => key.add_nar_hash(hash),
                None => key.add_identity(&scan.identity),
            }
            // Also with a NAR hash: it is the conf's word, and this shows edits in place.
            key.add(&scan.fingerprint);
        }
        key.finish()
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

    fn add_nar_hash(&mut self, hash: &str) {
        self.add(b"narHash");
        self.add(hash.as_bytes());
    }

    /// The key.
    pub fn finish(self) -> Key {
        Key(Digest(self.0.finish()))
    }
}
