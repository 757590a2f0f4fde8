//! Why an image has no one tree.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use image::layer::LayerError;

/// Why an image cannot be exported. Layers are counted from 1 in what it says.
#[derive(Debug, Error)]
pub enum ExportError {
    /// A layer cannot be opened, or is not the right one.
    #[error("layer {} cannot be read", layer + 1)]
    Layer {
        /// The layer, counted from 0.
        layer: usize,
        /// Why.
        source: LayerError,
    },
    /// A layer is not a tar file, or cannot be read.
    #[error("layer {} cannot be read", layer + 1)]
    Archive {
        /// The layer, counted from 0.
        layer: usize,
        /// Why.
        source: io::Error,
    },
    /// An entry of a layer has no place in a tree.
    #[error("layer {} has the entry `{path}`, {problem}", layer + 1)]
    Entry {
        /// The layer, counted from 0.
        layer: usize,
        /// The entry's name.
        path: String,
        /// What is wrong with it.
        problem: Problem,
    },
    /// What changed cannot be put into a layer.
    #[error("the layer of what changed cannot have `{path}`, {problem}")]
    Changed {
        /// Its name.
        path: String,
        /// What is wrong with it.
        problem: Problem,
    },
    /// A file that holds contents cannot be read again.
    #[error("cannot read `{}`", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What is wrong with an entry.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Problem {
    /// Its name leads out of the image.
    #[error("whose name leads out of the image")]
    Outside,
    /// Its name is longer than a path may be.
    #[error("whose name has more than {0} bytes")]
    Long(usize),
    /// There is something on the way that is not a directory.
    #[error("which is below something that is not a directory")]
    NotADirectory,
    /// There are symbolic links on the way, and no end of them.
    #[error("which is behind too many symbolic links")]
    Links,
    /// The root can only be a directory.
    #[error("which is the root, but not a directory")]
    Root,
    /// A hard link leads nowhere.
    #[error("a hard link to `{0}`, which is not there")]
    NoTarget(String),
    /// A hard link leads to a directory.
    #[error("a hard link to `{0}`, which is a directory")]
    LinkedDirectory(String),
    /// A whiteout hides nothing that has a name.
    #[error("a whiteout that hides no name")]
    NoName,
    /// It is a file with holes.
    #[error(
        "which is stored as a file with holes; write the layer again without them, as tar does \
         without --sparse"
    )]
    Sparse,
    /// It is of a type that trees do not have.
    #[error("whose type `{}` is not one of a file", char::from(*.0).escape_default())]
    Type(u8),
    /// The tree takes too much memory.
    #[error("with which names and headers of all entries take more than {0} MiB of memory")]
    TooMuch(usize),
}
