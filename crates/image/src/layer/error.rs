//! Why a layer cannot be read.

use thiserror::Error;

use crate::base::BaseError;
use crate::content::ReadError;
use crate::store::WalkError;
use formats::digest::Digest;

/// Why a layer cannot be read.
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
    /// The customisation layer is needed, but missing.
    #[error("the customisation layer `{0}` does not exist; build it first")]
    Absent(String),
    /// Permissions are for a tree that is not in the layer.
    #[error(
        "`perms` has the path `{path}`, which is not in its layer; the layer has {}",
        named(.layer)
    )]
    ForeignPermission {
        /// The store path.
        path: String,
        /// The store paths in the layer.
        layer: Vec<String>,
    },
    /// Permissions apply to nothing.
    #[error(
        "`perms` has the regex `{regex}`, which matches no name in `{path}`; names are those in the image, such as /etc/shadow"
    )]
    UnusedPermission {
        /// The store path.
        path: String,
        /// The regular expression.
        regex: String,
    },
    /// The customisation layer does not match the checksum file next to it.
    #[error("the customisation layer `{path}` is damaged; build it again")]
    Damaged {
        /// The layer's directory.
        path: String,
        /// The two digests.
        source: ChecksumMismatch,
    },
}

/// A list of paths for a message, shortened if it is long.
fn named(paths: &[String]) -> String {
    const SHOWN: usize = 4;
    let shown = paths.iter().take(SHOWN).map(|path| format!("`{path}`")).collect::<Vec<_>>();
    match paths.len().saturating_sub(SHOWN) {
        0 if paths.is_empty() => "none".to_owned(),
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// The digests of a finished layer, which should be equal.
#[derive(Debug, Error)]
#[error("its checksum file says {expected}, the tar file has {found}")]
pub struct ChecksumMismatch {
    /// The digest in the checksum file.
    pub expected: Digest,
    /// The layer's digest.
    pub found: Digest,
}
