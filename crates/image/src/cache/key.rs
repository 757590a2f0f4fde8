//! The keys of remembered digests.

use std::fmt;

use crate::store::Identity;
use formats::digest::Digest;
use formats::sha256::Sha256;

/// Names the rules that turn layers into bytes. Change it with any of them, so that digests made by
/// other rules are not used.
const FORMAT: &str = "nix-image layer format 1";

/// The name of a cache entry: a digest of everything that the entry depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key(Digest);

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.hex())
    }
}

impl Key {
    /// The key as a digest.
    pub fn digest(&self) -> Digest {
        self.0
    }
}

/// Builds a key.
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

    /// Adds something that the entry depends on. The length is included, so that different lists of
    /// inputs make different keys.
    pub fn add(&mut self, bytes: &[u8]) {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    /// Adds the identity of a path, by which a replacement is noticed.
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

    /// The key.
    pub fn finish(self) -> Key {
        Key(Digest(self.0.finish()))
    }
}
