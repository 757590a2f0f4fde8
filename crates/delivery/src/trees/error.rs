//! Why files cannot be put where an engine keeps them.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::way::Way;

/// Why no file gets from the store to the engine in the way that was asked for.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WayError {
    /// A directory cannot be opened.
    #[error("opening `{}`", path.display())]
    Open {
        /// Where it should be.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Nothing can be written into the engine's directory.
    #[error("writing into `{}`", path.display())]
    Target {
        /// The directory.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The way that was asked for does not work.
    #[error(
        "{way} from {store} to {target} cannot be made: {why}; choose another way to import, or \
         let it be chosen"
    )]
    Impossible {
        /// The way.
        way: Way,
        /// The store's directory.
        store: Box<End>,
        /// The engine's directory.
        target: Box<End>,
        /// What the kernel said, or what speaks against it.
        why: String,
    },
}

/// A directory that files come from or go to.
#[derive(Debug, Error)]
#[error("`{}` ({file_system})", path.display())]
pub struct End {
    /// Where it is.
    pub path: PathBuf,
    /// What its file system is and where that lies.
    pub file_system: String,
}

/// Why the tree of a layer cannot be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TreeError {
    /// The kernel refused something.
    #[error("{action} `{}` of the image in `{}`", path.display(), tree.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// The entry's path in the image.
        path: PathBuf,
        /// The directory that the tree is made in.
        tree: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// An entry is not one that can be unpacked.
    #[error("the layer's entry `{}` is not valid: {why}", path.display())]
    Entry {
        /// Its path in the image.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// An entry asks for what only the engine itself can do.
    #[error("the layer's entry `{}` is left to the engine: {why}", path.display())]
    Unsupported {
        /// Its path in the image.
        path: PathBuf,
        /// What it asks for.
        why: String,
    },
    /// A file is not what the layer was computed from.
    #[error(
        "`{}` has {found} bytes, expected {expected}; it changed while the image was read",
        path.display()
    )]
    Changed {
        /// Its path in the image.
        path: PathBuf,
        /// Its size in the layer.
        expected: u64,
        /// How much was there.
        found: u64,
    },
    /// A tree cannot be deleted.
    #[error("deleting `{}`", path.display())]
    Remove {
        /// The name of what could not be deleted.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

impl TreeError {
    /// Whether another way to fill the same directory would fail as well: the disk or the quota is
    /// full, or nothing can be written.
    pub fn is_final(&self) -> bool {
        let (Self::Io { source, .. } | Self::Remove { source, .. }) = self else { return false };
        is_full(source)
    }
}

/// Whether an error says that the disk or the quota is full, or that nothing can be written.
pub fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | ReadOnlyFilesystem)
}
