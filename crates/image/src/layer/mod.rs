//! An image's layers: what each is made of, how it is told from others, and how it becomes bytes.
//! Where the bytes go is not known here.

mod check;
mod cursor;
mod disk;
mod error;
mod key;
mod merge;
mod part;
mod permissions;
mod source;
mod stream;
mod tar_reader;
mod tar_stream;
mod tree;
mod trees;

use std::sync::Arc;

pub use error::{ChecksumMismatch, LayerError};
pub(crate) use key::{BaseFact, Scanned};
pub use permissions::{Attributes, Permission};
pub use source::{Kind, Layer, Prebuilt};
pub use stream::{LayerReader, LayerStream};
pub use tar_reader::TarReader;
pub use tar_stream::TarStream;
pub use trees::{TreeEntry, Trees, Unpacked};

use crate::store::{Store, StorePath};

/// A layer that is made from trees in the store.
#[derive(Clone, Debug)]
pub struct StoreLayer {
    /// The store that they are in.
    pub store: Arc<Store>,
    /// The trees, in the order in which they are archived.
    pub paths: Vec<StorePath>,
    /// What their entries are called.
    pub naming: Naming,
    /// Trees that become one, whose root is the image's; it comes after the others.
    pub copied: Vec<StorePath>,
    /// Modes and owners of some of the entries; of two for one entry, the later.
    pub permissions: Vec<Permission>,
    /// Owner and time of every entry.
    pub ownership: Arc<Ownership>,
}

impl StoreLayer {
    /// All trees, in the order in which they are archived.
    pub(crate) fn trees(&self) -> impl Iterator<Item = &StorePath> {
        self.paths.iter().chain(&self.copied)
    }

    /// Whether it starts with entries for the store's parents.
    fn has_store_parents(&self) -> bool {
        self.naming == Naming::Store && (!self.paths.is_empty() || self.copied.is_empty())
    }
}

/// How a layer's entries are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// By their full path, after entries for `/nix` and `/nix/store`.
    Store,
    /// By their place in the tree, whose root becomes `/`.
    Root,
}

/// The owner and the time that every entry of an image's store layers has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ownership {
    /// The time of the last change, in seconds since 1970.
    pub mtime: i64,
    /// The owner's ID.
    pub uid: i64,
    /// The group's ID.
    pub gid: i64,
    /// The owner's name.
    pub uname: String,
    /// The group's name.
    pub gname: String,
}
