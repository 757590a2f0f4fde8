//! An image's layers: what each is made of, how it is identified, and how it becomes bytes. Nothing
//! here depends on where the bytes go.

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

/// A layer made from trees in the store.
#[derive(Clone, Debug)]
pub struct StoreLayer {
    /// The store that contains them.
    pub store: Arc<Store>,
    /// The trees, in the order in which they are archived.
    pub paths: Vec<StorePath>,
    /// How their entries are named.
    pub naming: Naming,
    /// Trees that are merged into one, whose root becomes the image's. It is archived last.
    pub copied: Vec<StorePath>,
    /// Modes and owners of some of the entries. If two apply to an entry, the later one counts.
    pub permissions: Vec<Permission>,
    /// The owner and time of every entry.
    pub ownership: Arc<Ownership>,
}

impl StoreLayer {
    /// All trees, in the order in which they are archived.
    pub(crate) fn trees(&self) -> impl Iterator<Item = &StorePath> {
        self.paths.iter().chain(&self.copied)
    }

    /// Whether it starts with entries for the store's parent directories.
    fn has_store_parents(&self) -> bool {
        self.naming == Naming::Store && (!self.paths.is_empty() || self.copied.is_empty())
    }
}

/// How a layer's entries are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// By full path, after entries for `/nix` and `/nix/store`.
    Store,
    /// By the path within the tree, whose root becomes `/`.
    Root,
}

/// The owner and time of every entry in an image's store layers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ownership {
    /// The modification time, in seconds since 1970.
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
