//! Why layers cannot be linked into an engine.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use crate::trees::{TreeError, WayError, is_full};
use image::ReadError;
use image::threads::ThreadError;

/// Why an image's layers cannot be placed directly in an engine's storage.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The requested way does not work for the engine's directory.
    #[error(transparent)]
    Way(#[from] WayError),
    /// A layer's tree cannot be created.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The engine's storage cannot be read or written.
    #[error(transparent)]
    Storage(#[from] containers_storage::Error),
    /// A call to containerd failed.
    #[error(transparent)]
    Containerd(#[from] containerd::Error),
    /// containerd's snapshotter does not store snapshots as directories for overlayfs.
    #[error("containerd's snapshots are not directories for overlayfs")]
    Snapshotter,
    /// One of containerd's directories cannot be read.
    #[error("reading the snapshot directory `{}` of containerd", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A blob cannot be written to containerd's directory.
    #[error("writing the blob `{}` of containerd", path.display())]
    Blob {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The directory of a new snapshot is not empty.
    #[error(
        "the directory `{}` of a new snapshot is not empty; containerd may see another directory \
         at that path",
        .0.display()
    )]
    NotEmpty(PathBuf),
    /// The operating system returned no random bytes.
    #[error("asking the system for random bytes")]
    Random(#[from] getrandom::Error),
    /// The image cannot be read.
    #[error(transparent)]
    Image(#[from] image::Error),
    /// A tree of the store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A layer's tar file cannot be read.
    #[error("reading the tar file of a layer")]
    Archive(#[source] io::Error),
    /// A layer has a member of a kind that cannot be unpacked.
    #[error("`{0}` in a layer is of a kind that cannot be unpacked")]
    Member(String),
    /// A layer has two members with the same name, so podman could not reproduce its tar file.
    #[error("`{0}` is in a layer twice, which podman does not support")]
    Repeated(String),
    /// A layer has an invalid time.
    #[error("a layer has a file whose time is not a valid number")]
    Time,
    /// A user or group ID that no file can have.
    #[error("{0} is not a valid user or group ID")]
    Owner(i128),
    /// The headers that containers/storage needs of a layer cannot be recorded.
    #[error("recording the headers of a layer")]
    TarSplit(#[source] io::Error),
}

impl From<ThreadError> for LinkError {
    fn from(error: ThreadError) -> Self {
        Self::Image(error.into())
    }
}

impl LinkError {
    /// The error of another module that this one wraps, or this one itself.
    pub fn inner(&self) -> &(dyn Error + 'static) {
        match self {
            Self::Way(error) => error,
            Self::Tree(error) => error,
            Self::Storage(error) => error,
            Self::Containerd(error) => error,
            Self::Image(error) => error.inner(),
            Self::Read(error) => error,
            _ => self,
        }
    }

    /// Whether the image or the engine's directory is of a kind that cannot be linked.
    pub(crate) fn is_unfit(&self) -> bool {
        matches!(
            self,
            Self::Tree(TreeError::Unsupported { .. } | TreeError::Entry { .. })
                | Self::Storage(containers_storage::Error::Unsupported { .. })
                | Self::Snapshotter
                | Self::Owner(_)
                | Self::Member(_)
                | Self::Repeated(_)
                | Self::Time
        )
    }

    /// Whether any other way to load the image would fail too.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            Self::Tree(error) => error.is_final(),
            Self::Blob { source, .. } => is_full(source),
            Self::Image(_) | Self::Read(_) => true,
            _ => false,
        }
    }
}
