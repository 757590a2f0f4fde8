//! Why an archive is not a base image.

use std::path::PathBuf;

use thiserror::Error;

use formats::digest::{Digest, DigestError};

/// Why an archive is not a base image.
#[derive(Debug, Error)]
pub enum BaseError {
    /// It cannot be read.
    #[error("cannot read the base image `{}`", path.display())]
    Read {
        /// The archive.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It has no manifest.
    #[error(
        "the base image `{}` has no manifest.json; fromImage takes what `docker save` or \
         `skopeo copy ... docker-archive:FILE` writes",
        .0.display()
    )]
    NoManifest(PathBuf),
    /// A member that another one names is not there, or is not a file.
    #[error("the base image `{}` is broken: `{member}` {problem}", path.display())]
    Member {
        /// The archive.
        path: PathBuf,
        /// The member.
        member: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The manifest or configuration is not as it must be.
    #[error("the base image `{}` is broken: {problem}", path.display())]
    Document {
        /// The archive.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A diffID is none.
    #[error("the base image `{}` is broken: a diff_id is not a SHA-256 digest", path.display())]
    DiffId {
        /// The archive.
        path: PathBuf,
        /// What stands there.
        source: DigestError,
    },
    /// A layer's bytes are not what the configuration says.
    #[error(
        "the base image `{}` is broken: layer `{member}` has the digest {found}, \
         its configuration says {expected}; fetch or build the base again",
        path.display()
    )]
    Mismatch {
        /// The archive.
        path: PathBuf,
        /// The layer's member.
        member: String,
        /// What the configuration says.
        expected: Digest,
        /// What the layer has.
        found: Digest,
    },
}
