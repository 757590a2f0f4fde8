//! Why an image of one layer cannot be made.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why an image of one layer cannot be made.
#[derive(Debug, Error)]
pub enum OneLayerError {
    /// The kernel refused.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The archive cannot be written on.
    #[error("cannot write the archive")]
    Write(#[source] io::Error),
    /// Something to be copied into the root is not a directory.
    #[error(
        "`{}` is not a directory, and the root cannot be a copy of it; put it into one, as \
         runCommand or buildEnv does",
        .0.display()
    )]
    NotADirectory(PathBuf),
    /// A directory is where something else is to be copied to.
    #[error(
        "cannot copy `{}` to `{}`: there is a directory that is not empty; leave one of them out",
        item.display(),
        place.display()
    )]
    Occupied {
        /// What is to be copied.
        item: PathBuf,
        /// Where to.
        place: PathBuf,
    },
    /// A link leads to a directory that it is in.
    #[error(
        "`{}` links to a directory that it is in, so a copy would have no end; keep links to \
         directories by keepContentsDirlinks = true",
        .0.display()
    )]
    Endless(PathBuf),
    /// Something is neither a file, a directory nor a link.
    #[error("`{}` is neither a file, a directory nor a symbolic link; remove it", .0.display())]
    Special(PathBuf),
    /// A file has another size than when it was listed.
    #[error(
        "`{}` changed while it was being read: {expected} bytes expected; nothing may write to \
         it meanwhile",
        path.display()
    )]
    Changed {
        /// The file.
        path: PathBuf,
        /// Bytes when it was listed.
        expected: u64,
    },
    /// The layer has another size than when it was digested.
    #[error(
        "the layer changed while it was being written: {expected} bytes expected, {found} found; \
         nothing may write to the store meanwhile"
    )]
    Resized {
        /// Bytes when it was digested.
        expected: u64,
        /// Bytes that were written.
        found: u64,
    },
    /// A tar file has something that is not of a tree.
    #[error(
        "`{}` has the member `{name}`, which is not a file of a tree as `tar -c .` writes it",
        path.display()
    )]
    Member {
        /// The tar file.
        path: PathBuf,
        /// The member.
        name: String,
    },
    /// A document is not what it must be.
    #[error("`{}` is broken: {problem}", path.display())]
    Document {
        /// The file that holds it.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The base image is not one.
    #[error("the base image `{}` is broken: {problem}", path.display())]
    Base {
        /// The archive.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

impl OneLayerError {
    /// Makes an error of what the kernel says about a path.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }
}
