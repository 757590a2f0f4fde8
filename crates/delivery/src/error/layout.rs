//! Why a layout cannot be added to.

use std::io;
use std::path::PathBuf;

use oci::LAYOUT_FILE;
use thiserror::Error;

/// Why a directory is not a layout, or cannot become one.
#[derive(Debug, Error)]
pub enum LayoutError {
    /// It is a file.
    #[error("`{}` is a file; an OCI layout is a directory", .0.display())]
    File(PathBuf),
    /// It holds something else.
    #[error(
        "`{}` holds `{found}` and is not an OCI layout; write to another place, or to an empty \
         directory",
        path.display()
    )]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// What is in it.
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
    /// The index is not one.
    #[error("`{}` is broken; repair or remove it", path.display())]
    Index {
        /// The index.
        path: PathBuf,
        /// What is wrong with it.
        source: oci::DocumentError,
    },
    /// A directory is where a file belongs, and may hold anything.
    #[error("`{}` is a directory where a file belongs; remove it", .0.display())]
    Directory(PathBuf),
}

/// Why a document of a layout cannot be read.
#[derive(Debug, Error)]
pub enum MarkerError {
    /// The kernel refused.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is a pipe, a directory or the like.
    #[error("`{}` is not a regular file; remove it", .0.display())]
    Kind(PathBuf),
    /// It is not JSON.
    #[error("its `{LAYOUT_FILE}` is broken")]
    Json(#[from] serde_json::Error),
    /// It is of another version.
    #[error("its version is {0}; this program knows 1.0.0 only")]
    Version(serde_json::Value),
}
