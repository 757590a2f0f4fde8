//! Why an image cannot be delivered.

mod export;
mod layout;
mod merge;
mod output;

use std::error;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

pub use export::{ExportError, Problem};
pub use layout::{LayoutError, MarkerError};
pub use merge::MergeError;
pub use output::OutputError;

use crate::causes;
use image::layer::LayerError;
use image::threads::ThreadError;
use image::{FileError, ReadError};

/// Why an image cannot be delivered.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The image cannot be read or digested.
    #[error(transparent)]
    Image(#[from] image::Error),
    /// The image's name is not one.
    #[error(transparent)]
    Name(#[from] oci::ReferenceError),
    /// What is read or written in the place of a document is not one.
    #[error(transparent)]
    Document(#[from] oci::DocumentError),
    /// Something could not be done with a file or directory.
    #[error(transparent)]
    File(#[from] FileError),
    /// The bytes cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// A file cannot be written.
    #[error("writing `{}`", path.display())]
    Writing {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<Error>,
    },
    /// A directory is where a file is to be written.
    #[error("`{}` is a directory; name a file", .0.display())]
    IsDirectory(PathBuf),
    /// Two of the images of an index are for one platform.
    #[error("two of the images are for linux/{0}; an index has one for each platform")]
    SamePlatform(String),
    /// The layers make no tree.
    #[error(transparent)]
    Export(Box<ExportError>),
    /// Images do not become one archive.
    #[error(transparent)]
    Merge(Box<MergeError>),
    /// The layout cannot be added to.
    #[error(transparent)]
    Layout(#[from] LayoutError),
}

impl Error {
    /// The error of a file that cannot be written.
    pub fn writing(path: &Path, source: Self) -> Self {
        Self::Writing { path: path.to_owned(), source: Box::new(source) }
    }

    /// The error of another part that this one stands for, or this one.
    pub fn inner(&self) -> &(dyn error::Error + 'static) {
        match self {
            Self::Image(error) => error.inner(),
            Self::Name(error) => error,
            Self::Document(error) => error,
            Self::File(error) => error,
            Self::Output(error) => error,
            Self::Export(error) => &**error,
            Self::Merge(error) => &**error,
            Self::Layout(error) => error,
            Self::Writing { .. } | Self::IsDirectory(_) | Self::SamePlatform(_) => self,
        }
    }
}

/// Whether an error means that the reader of an output went away, which is its own business.
pub fn is_closed(error: &(dyn error::Error + 'static)) -> bool {
    causes::is_io(error, io::ErrorKind::BrokenPipe)
}

impl From<ExportError> for Error {
    fn from(error: ExportError) -> Self {
        Self::Export(Box::new(error))
    }
}

impl From<MergeError> for Error {
    fn from(error: MergeError) -> Self {
        Self::Merge(Box::new(error))
    }
}

impl From<ThreadError> for Error {
    fn from(error: ThreadError) -> Self {
        image::Error::from(error).into()
    }
}

impl From<ReadError> for Error {
    fn from(error: ReadError) -> Self {
        image::Error::from(LayerError::from(error)).into()
    }
}
