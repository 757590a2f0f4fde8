//! Why an image of one layer cannot be made.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why an image of one layer cannot be made.
#[derive(Debug, Error)]
pub enum OneLayerError {
    /// A system call failed.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The path it was tried on.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The archive cannot be written.
    #[error("cannot write the archive")]
    Write(#[source] io::Error),
    /// Something to be copied into the root is not a directory.
    #[error(
        "`{}` is not a directory, and the root cannot be a copy of it; put it into one, as \
         runCommand or buildEnv does",
        .0.display()
    )]
    NotADirectory(PathBuf),
    /// A directory is in the way of something to be copied.
    #[error(
        "cannot copy `{}` to `{}`: there is a directory that is not empty; leave one of them out",
        item.display(),
        place.display()
    )]
    Occupied {
        /// What should be copied.
        item: PathBuf,
        /// The target.
        place: PathBuf,
    },
    /// A link points to a directory that contains it.
    #[error(
        "`{}` links to a directory that contains it, so a copy would never end; keep links to \
         directories with keepContentsDirlinks = true",
        .0.display()
    )]
    Endless(PathBuf),
    /// Something is not a file, directory or link.
    #[error("`{}` is neither a file, a directory nor a symbolic link; remove it", .0.display())]
    Special(PathBuf),
    /// A file does not have the same size as when it was listed.
    #[error(
        "`{}` changed while it was being read: {expected} bytes expected; nothing may write to \
         it meanwhile",
        path.display()
    )]
    Changed {
        /// The file.
        path: PathBuf,
        /// The size when it was listed.
        expected: u64,
    },
    /// The layer does not have the same size as when it was digested.
    #[error(
        "the layer changed while it was being written: {expected} bytes expected, {found} found; \
         nothing may write to the store meanwhile"
    )]
    Resized {
        /// The size when it was digested.
        expected: u64,
        /// The bytes written.
        found: u64,
    },
    /// A tar file has a member that cannot be part of a tree.
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
    /// A document is invalid.
    #[error("`{}` is broken: {problem}", path.display())]
    Document {
        /// The file with the document.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The base image is invalid.
    #[error("the base image `{}` is broken: {problem}", path.display())]
    Base {
        /// The archive.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

impl OneLayerError {
    /// Makes an error of a failed operation on a path.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }
}
