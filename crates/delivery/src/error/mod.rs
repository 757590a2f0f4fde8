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
    /// The image's name is not valid.
    #[error(transparent)]
    Name(#[from] oci::ReferenceError),
    /// A document that was read, or is to be written, is not valid.
    #[error(transparent)]
    Document(#[from] oci::DocumentError),
    /// An operation on a file or directory failed.
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
    /// The file to write is a directory.
    #[error("`{}` is a directory; name a file", .0.display())]
    IsDirectory(PathBuf),
    /// Two images of an index are for the same platform.
    #[error("two of the images are for linux/{0}; an index can have only one for each platform")]
    SamePlatform(String),
    /// The layers cannot be exported as one tree.
    #[error(transparent)]
    Export(Box<ExportError>),
    /// The images cannot be merged.
    #[error(transparent)]
    Merge(Box<MergeError>),
    /// The image cannot be added to the layout.
    #[error(transparent)]
    Layout(#[from] LayoutError),
}

impl Error {
    /// The error for a file that cannot be written.
    pub fn writing(path: &Path, source: Self) -> Self {
        Self::Writing { path: path.to_owned(), source: Box::new(source) }
    }

    /// The error of another module that this one wraps, or this one itself.
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

/// Whether an error means that the reader of an output has gone away, which need not be reported.
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
