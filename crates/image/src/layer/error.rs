//! Why a layer cannot be had.

use thiserror::Error;

use crate::base::BaseError;
use crate::content::ReadError;
use crate::store::WalkError;
use formats::digest::Digest;

/// Why a layer cannot be had.
#[derive(Debug, Error)]
pub enum LayerError {
    /// A file cannot be read, or changed while it was read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A tree cannot be listed.
    #[error(transparent)]
    Walk(#[from] WalkError),
    /// The base image cannot be read.
    #[error(transparent)]
    Base(#[from] BaseError),
    /// The customisation layer is needed and not there.
    #[error("the customisation layer `{0}` does not exist; build it first")]
    Absent(String),
    /// The customisation layer is not what the file beside it says.
    #[error("the customisation layer `{path}` is damaged; build it again")]
    Damaged {
        /// The layer's directory.
        path: String,
        /// The two digests.
        source: ChecksumMismatch,
    },
}

/// The digests of a finished layer, which should be the same.
#[derive(Debug, Error)]
#[error("its checksum file says {expected}, the tar file has {found}")]
pub struct ChecksumMismatch {
    /// What the file beside the layer says.
    pub expected: Digest,
    /// What the layer has.
    pub found: Digest,
}
