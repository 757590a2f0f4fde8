//! Why an image cannot be added to an OCI layout.

use std::io;
use std::path::PathBuf;

use oci::LAYOUT_FILE;
use thiserror::Error;

/// Why a directory is not a layout and cannot become one.
#[derive(Debug, Error)]
pub enum LayoutError {
    /// It is a file.
    #[error("`{}` is a file, but an OCI layout is a directory", .0.display())]
    File(PathBuf),
    /// It contains something else.
    #[error(
        "`{}` contains `{found}` and is not an OCI layout; write to another directory, or to an \
         empty one",
        path.display()
    )]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// A file in it.
        found: String,
    },
    /// A document of the layout cannot be read.
    #[error("reading `{}`", path.display())]
    Read {
        /// The layout or its document.
        path: PathBuf,
        /// Why.
        source: MarkerError,
    },
    /// The index is invalid.
    #[error("`{}` is broken; repair or remove it", path.display())]
    Index {
        /// The index.
        path: PathBuf,
        /// What is wrong with it.
        source: oci::DocumentError,
    },
    /// A directory has the name of one of the files.
    #[error("`{}` is a directory, expected a file; remove it", .0.display())]
    Directory(PathBuf),
}

/// Why a document of a layout cannot be read.
#[derive(Debug, Error)]
pub enum MarkerError {
    /// It cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is a pipe, a directory or the like.
    #[error("`{}` is not a regular file; remove it", .0.display())]
    Kind(PathBuf),
    /// It is not valid JSON.
    #[error("its `{LAYOUT_FILE}` is broken")]
    Json(#[from] serde_json::Error),
    /// Its version is not supported.
    #[error("its version is {0}, but this program only supports 1.0.0")]
    Version(serde_json::Value),
}
