//! Why an archive is not a base image.

use std::path::PathBuf;

use thiserror::Error;

use formats::digest::{Digest, DigestError};
use formats::peer_text;

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
        "the base image `{}` has no manifest.json and no index.json; fromImage takes what \
         `docker save` or `skopeo copy ... docker-archive:FILE` writes, and OCI layouts",
        .0.display()
    )]
    NoManifest(PathBuf),
    /// No image, or more than one, has the name that is asked for.
    #[error(
        "the base image `{}` has no one image `{wanted}`; {}",
        path.display(),
        choices(found)
    )]
    Name {
        /// The archive or layout.
        path: PathBuf,
        /// The name that is asked for.
        wanted: String,
        /// The names of its images.
        found: Vec<String>,
    },
    /// There are several images, and no name is asked for.
    #[error(
        "the base image `{}` has {count} images; choose one by its name, as in `{}#NAME`: {}",
        path.display(),
        path.display(),
        choices(found)
    )]
    Several {
        /// The layout.
        path: PathBuf,
        /// How many images it has.
        count: usize,
        /// Their names.
        found: Vec<String>,
    },
    /// There is no image for the platform.
    #[error(
        "the base image `{}` has no image for {wanted}; it has {}",
        path.display(),
        if found.is_empty() { "none".to_owned() } else { found.join(", ") }
    )]
    Platform {
        /// The layout.
        path: PathBuf,
        /// The platform.
        wanted: String,
        /// The platforms that there are images for.
        found: Vec<String>,
    },
    /// A blob of a layout is not what the document that names it says.
    #[error("the base image `{}` is broken: the blob {digest} {problem}", path.display())]
    Blob {
        /// The layout.
        path: PathBuf,
        /// The blob.
        digest: Digest,
        /// What is wrong with it.
        problem: String,
    },
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

/// What there is to choose from.
fn choices(names: &[String]) -> String {
    /// Names that are shown.
    const SHOWN: usize = 10;
    match names {
        [] => "its images have no names".to_owned(),
        names => {
            let shown = names[..names.len().min(SHOWN)].join("`, `");
            let more = names.len().saturating_sub(SHOWN);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!("it has `{}`{more}", peer_text::start(&shown, 400))
        }
    }
}
