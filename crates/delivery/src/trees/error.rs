//! Why files cannot be placed in an engine's storage.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::way::Way;

/// Why the requested way of importing files from the store does not work.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WayError {
    /// A directory cannot be opened.
    #[error("opening `{}`", path.display())]
    Open {
        /// The directory.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The engine's directory cannot be written to.
    #[error("writing into `{}`", path.display())]
    Target {
        /// The directory.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The requested way does not work.
    #[error(
        "cannot make {way} from {store} to {target}: {why}; choose another way to import, or \
         leave the choice open"
    )]
    Impossible {
        /// The way.
        way: Way,
        /// The store's directory.
        store: Box<End>,
        /// The engine's directory.
        target: Box<End>,
        /// The error of the operating system, or another reason.
        why: String,
    },
}

/// The source or the destination of files.
#[derive(Debug, Error)]
#[error("`{}` ({file_system})", path.display())]
pub struct End {
    /// The directory.
    pub path: PathBuf,
    /// The type of its file system, and the device.
    pub file_system: String,
}

/// Why the tree of a layer cannot be created.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TreeError {
    /// A system call failed.
    #[error("{action} `{}` of the image in `{}`", path.display(), tree.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// The entry's path in the image.
        path: PathBuf,
        /// The directory that the tree is created in.
        tree: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// An entry that cannot be unpacked.
    #[error("the layer's entry `{}` is not valid: {why}", path.display())]
    Entry {
        /// Its path in the image.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// An entry that only the engine itself can unpack.
    #[error("only the engine can unpack the layer's entry `{}`: {why}", path.display())]
    Unsupported {
        /// Its path in the image.
        path: PathBuf,
        /// Why only the engine can.
        why: String,
    },
    /// A file has changed since the layer was computed.
    #[error(
        "`{}` has {found} bytes, expected {expected}; it changed while the image was read",
        path.display()
    )]
    Changed {
        /// Its path in the image.
        path: PathBuf,
        /// Its size in the layer.
        expected: u64,
        /// How many bytes were found.
        found: u64,
    },
    /// A tree cannot be deleted.
    #[error("deleting `{}`", path.display())]
    Remove {
        /// The name of what could not be deleted.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

impl TreeError {
    /// Whether any other way to fill the same directory would fail too: the disk or the quota is
    /// full, or the file system is read-only.
    pub fn is_final(&self) -> bool {
        let (Self::Io { source, .. } | Self::Remove { source, .. }) = self else { return false };
        is_full(source)
    }
}

/// Whether an error means that the disk or the quota is full, or that the file system is read-only.
pub fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | ReadOnlyFilesystem)
}
