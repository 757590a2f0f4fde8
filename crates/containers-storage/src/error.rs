//! Why a storage cannot be read or written.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use formats::digest::Digest;
use thiserror::Error;

/// Why a storage cannot be read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The directory is not a storage that this crate can write to.
    #[error("`{}` cannot be used as an image storage: {why}", path.display())]
    Unsupported {
        /// The storage, or the part of it that is not as expected.
        path: PathBuf,
        /// What was expected and what was found.
        why: String,
    },
    /// Another process or thread held a lock for too long.
    #[error("`{}` is still locked after {} s, by {holder}; try again when it has finished", lock.display(), waited.as_secs_f64().ceil())]
    Busy {
        /// The lock file.
        lock: PathBuf,
        /// Who holds the lock.
        holder: Holder,
        /// How long this process waited.
        waited: Duration,
    },
    /// A layer to be added already exists.
    #[error("layer {} is already in `{}`", id.hex(), storage.display())]
    LayerExists {
        /// The layer.
        id: Digest,
        /// The storage.
        storage: PathBuf,
    },
    /// A layer that is needed does not exist or is incomplete.
    #[error("layer {} is not in `{}`, or is incomplete", id.hex(), storage.display())]
    LayerMissing {
        /// The layer.
        id: Digest,
        /// The storage.
        storage: PathBuf,
    },
    /// A layer or an image to be removed is in use.
    #[error("{what} is used by {user}; remove that first")]
    InUse {
        /// The layer or image.
        what: String,
        /// What uses it.
        user: String,
    },
    /// The image exists with other layers.
    #[error("image {} is already in `{}` with other layers; remove it first", id.hex(), storage.display())]
    OtherLayers {
        /// The image.
        id: Digest,
        /// The storage.
        storage: PathBuf,
    },
    /// An image does not exist.
    #[error("`{}` has no image {id}", storage.display())]
    ImageMissing {
        /// The image's ID in hexadecimal digits, or its name.
        id: String,
        /// The storage.
        storage: PathBuf,
    },
    /// A file or directory of the storage cannot be read or written.
    #[error("{doing} `{}`", path.display())]
    Io {
        /// What was being done, such as "reading".
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

/// Who holds a lock, as far as the kernel tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A process, with the name of its program if that is readable.
    Process(i32, Option<String>),
    /// Another thread of this process.
    Ourselves,
    /// Unknown: a process of another PID namespace, or one that has ended.
    Unknown,
}

impl fmt::Display for Holder {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process(pid, Some(name)) => write!(out, "process {pid} ({name})"),
            Self::Process(pid, None) => write!(out, "process {pid}"),
            Self::Ourselves => write!(out, "another thread of this process"),
            Self::Unknown => write!(out, "a process that is not visible from here"),
        }
    }
}

impl Error {
    pub(crate) fn unsupported(path: &Path, why: impl Into<String>) -> Self {
        Self::Unsupported { path: path.to_owned(), why: why.into() }
    }
}

/// Adds to an error what was being done, and to which file or directory.
pub(crate) trait Context<T> {
    fn context(self, doing: &'static str, path: &Path) -> Result<T, Error>;
}

impl<T, E: Into<io::Error>> Context<T> for Result<T, E> {
    fn context(self, doing: &'static str, path: &Path) -> Result<T, Error> {
        self.map_err(|error| Error::Io { doing, path: path.to_owned(), source: error.into() })
    }
}
