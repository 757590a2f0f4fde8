//! Why an image cannot be put where an engine keeps it.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use crate::trees::{TreeError, WayError, is_full};
use image::ReadError;
use image::threads::ThreadError;

/// Why an image cannot be put where an engine keeps it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The engine's directory cannot be used in the way that was asked for.
    #[error(transparent)]
    Way(#[from] WayError),
    /// A layer's tree cannot be made.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The engine's storage cannot be read or written.
    #[error(transparent)]
    Storage(#[from] containers_storage::Error),
    /// containerd cannot do its part.
    #[error(transparent)]
    Containerd(#[from] containerd::Error),
    /// containerd's snapshotter does not keep snapshots as directories for overlayfs.
    #[error("containerd's snapshots are not directories for overlayfs")]
    Snapshotter,
    /// A directory of containerd's cannot be read.
    #[error("reading `{}`, where containerd keeps a snapshot", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A blob cannot be written where containerd keeps it.
    #[error("writing a blob to `{}`, where containerd keeps it", path.display())]
    Blob {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A new snapshot is not new.
    #[error(
        "`{}`, where containerd says that it keeps a new snapshot, is not empty; it may see \
         another directory there",
        .0.display()
    )]
    NotEmpty(PathBuf),
    /// The system gives no random bytes.
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
    /// A layer's tar file has a member that cannot be unpacked.
    #[error("`{0}` in a layer is of a kind that cannot be unpacked")]
    Member(String),
    /// A layer's tar file has a name twice, of which podman could not give the tar file back.
    #[error("`{0}` is in a layer twice, which podman does not support")]
    Repeated(String),
    /// A layer's tar file has a time that is not one.
    #[error("a layer has a file whose time is not a valid number")]
    Time,
    /// An owner is none that a file can have.
    #[error("{0} is not a valid number of a user or group")]
    Owner(i128),
    /// What containers/storage needs to know of a layer could not be noted.
    #[error("noting the headers of a layer")]
    TarSplit(#[source] io::Error),
}

impl From<ThreadError> for LinkError {
    fn from(error: ThreadError) -> Self {
        Self::Image(error.into())
    }
}

impl LinkError {
    /// The error of another part that this one stands for, or this one.
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

    /// Whether the image or the engine's directory is of a kind that this cannot do.
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

    /// Whether it would be the same in another way.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            Self::Tree(error) => error.is_final(),
            Self::Blob { source, .. } => is_full(source),
            Self::Image(_) | Self::Read(_) => true,
            _ => false,
        }
    }
}
