//! Why an image cannot be exported as one tree.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use image::layer::LayerError;

/// Why an image cannot be exported. The messages count layers from 1.
#[derive(Debug, Error)]
pub enum ExportError {
    /// A layer cannot be opened, or has the wrong digest.
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
    /// An entry of a layer cannot be put into the tree.
    #[error("layer {} has the entry `{path}`, {problem}", layer + 1)]
    Entry {
        /// The layer, counted from 0.
        layer: usize,
        /// The entry's name.
        path: String,
        /// What is wrong with it.
        problem: Problem,
    },
    /// A changed file cannot be put into a layer.
    #[error("the layer of changes cannot have `{path}`, {problem}")]
    Changed {
        /// The file's name.
        path: String,
        /// What is wrong with it.
        problem: Problem,
    },
    /// A file with contents of entries cannot be read again.
    #[error("cannot read `{}`", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What is wrong with an entry. The messages continue a sentence after the entry's name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Problem {
    /// Its name leads out of the image.
    #[error("whose name leads out of the image")]
    Outside,
    /// Its name is longer than a path may be.
    #[error("whose name has more than {0} bytes")]
    Long(usize),
    /// Something on the way to it is not a directory.
    #[error("which is below something that is not a directory")]
    NotADirectory,
    /// The way to it leads through too many symbolic links, perhaps a loop.
    #[error("whose path has too many symbolic links")]
    Links,
    /// It is the root, but not a directory.
    #[error("which is the root but not a directory")]
    Root,
    /// A hard link to a missing file.
    #[error("a hard link to `{0}`, which does not exist")]
    NoTarget(String),
    /// A hard link to a directory.
    #[error("a hard link to `{0}`, which is a directory")]
    LinkedDirectory(String),
    /// A whiteout without a name to hide.
    #[error("a whiteout without a name to hide")]
    NoName,
    /// It is a sparse file.
    #[error(
        "which is stored as a file with holes; write the layer again without them, as tar does \
         without --sparse"
    )]
    Sparse,
    /// Its type is not supported.
    #[error("whose type `{}` is not supported", char::from(*.0).escape_default())]
    Type(u8),
    /// With it, the tree takes too much memory.
    #[error("with which the names and headers of all entries exceed {0} MiB of memory")]
    TooMuch(usize),
}
