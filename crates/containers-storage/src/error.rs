//! Why a storage cannot be read or written.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use formats::digest::Digest;
use thiserror::Error;

/// A storage cannot be read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// What is there is not a storage that this crate knows how to write.
    #[error("`{}` cannot be used as an image storage: {why}", path.display())]
    Unsupported {
        /// The storage, or what of it is not as expected.
        path: PathBuf,
        /// What was expected, and what was found.
        why: String,
    },
    /// Another process or thread kept a lock for too long.
    #[error("`{}` is still locked after {} s, by {holder}; try again when that has ended", lock.display(), waited.as_secs_f64().ceil())]
    Busy {
        /// The file that is locked.
        lock: PathBuf,
        /// Who has locked it.
        holder: Holder,
        /// How long it was waited for.
        waited: Duration,
    },
    /// A layer that was to be made is there.
    #[error("layer {} is in `{}` already", id.hex(), storage.display())]
    LayerExists {
        /// The layer.
        id: Digest,
        /// The storage.
        storage: PathBuf,
    },
    /// A layer that is needed is not there, or not complete.
    #[error("layer {} is not in `{}`, or it is not complete", id.hex(), storage.display())]
    LayerMissing {
        /// The layer.
        id: Digest,
        /// The storage.
        storage: PathBuf,
    },
    /// A layer or an image that was to be removed is in use.
    #[error("{what} is used by {user}, which has to be removed first")]
    InUse {
        /// The layer or image.
        what: String,
        /// What uses it.
        user: String,
    },
    /// An image is there, with other layers.
    #[error("image {} is in `{}` with other layers; remove it there first", id.hex(), storage.display())]
    OtherLayers {
        /// The image.
        id: Digest,
        /// The storage.
        storage: PathBuf,
    },
    /// An image is not there.
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

/// Who has locked a file, as far as the kernel tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A process, with the name of its program if that can be read.
    Process(i32, Option<String>),
    /// Another thread of this process.
    Ourselves,
    /// Unknown: a process of another PID namespace, or one that has ended since.
    Unknown,
}

impl fmt::Display for Holder {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process(pid, Some(name)) => write!(out, "process {pid} ({name})"),
            Self::Process(pid, None) => write!(out, "process {pid}"),
            Self::Ourselves => write!(out, "another thread of this process"),
            Self::Unknown => write!(out, "a process that cannot be seen from here"),
        }
    }
}

impl Error {
    pub(crate) fn unsupported(path: &Path, why: impl Into<String>) -> Self {
        Self::Unsupported { path: path.to_owned(), why: why.into() }
    }
}

/// Adds what was being done, and with what.
pub(crate) trait Context<T> {
    fn context(self, doing: &'static str, path: &Path) -> Result<T, Error>;
}

impl<T, E: Into<io::Error>> Context<T> for Result<T, E> {
    fn context(self, doing: &'static str, path: &Path) -> Result<T, Error> {
        self.map_err(|error| Error::Io { doing, path: path.to_owned(), source: error.into() })
    }
}
