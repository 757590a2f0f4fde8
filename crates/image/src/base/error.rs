//! Why an image in an archive or layout cannot be used.

use std::path::{Path, PathBuf};

use thiserror::Error;

use formats::digest::{Digest, DigestError};
use formats::peer_text;

/// Why an image in an archive or layout cannot be used.
#[derive(Debug, Error)]
pub enum BaseError {
    /// It cannot be read.
    #[error("cannot read the image `{}`", path.display())]
    Read {
        /// The archive.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It has no manifest.
    #[error(
        "`{}` has no manifest.json and no index.json; expected the output of \
         `docker save` or `skopeo copy ... docker-archive:FILE`, or an OCI layout",
        .0.display()
    )]
    NoManifest(PathBuf),
    /// No image, or more than one, has the requested name.
    #[error("{}; {}", unfound(path, wanted, found), choices(found))]
    Name {
        /// The archive or layout.
        path: PathBuf,
        /// The requested name.
        wanted: String,
        /// The names of its images.
        found: Vec<String>,
    },
    /// There are several images, and no name was given.
    #[error(
        "`{}` has {count} images; choose one by its name, as in `{}#NAME`: {}",
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
        "`{}` has no image for {wanted}; it has {}",
        path.display(),
        if found.is_empty() { "none".to_owned() } else { found.join(", ") }
    )]
    Platform {
        /// The layout.
        path: PathBuf,
        /// The platform.
        wanted: String,
        /// The platforms that it has images for.
        found: Vec<String>,
    },
    /// A layout's blob does not match the document that refers to it.
    #[error("the image `{}` is broken: the blob {digest} {problem}", path.display())]
    Blob {
        /// The layout.
        path: PathBuf,
        /// The blob.
        digest: Digest,
        /// What is wrong with it.
        problem: String,
    },
    /// A member that another one refers to is missing, or not a file.
    #[error("the image `{}` is broken: `{member}` {problem}", path.display())]
    Member {
        /// The archive.
        path: PathBuf,
        /// The member.
        member: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The manifest or config is invalid.
    #[error("the image `{}` is broken: {problem}", path.display())]
    Document {
        /// The archive.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A diffID is not a digest.
    #[error("the image `{}` is broken: a diff_id is not a SHA-256 digest", path.display())]
    DiffId {
        /// The archive.
        path: PathBuf,
        /// Why not.
        source: DigestError,
    },
    /// A layer's bytes do not match the config.
    #[error(
        "the image `{}` is broken: layer `{member}` has the digest {found}, \
         its config says {expected}; fetch or build it again",
        path.display()
    )]
    Mismatch {
        /// The archive.
        path: PathBuf,
        /// The layer's member.
        member: String,
        /// The digest in the config.
        expected: Digest,
        /// The layer's digest.
        found: Digest,
    },
}

/// Why a name selects no image: none has it, or several have it as a tag.
fn unfound(path: &Path, wanted: &str, names: &[String]) -> String {
    let is_tagged = |name: &&String| name.rsplit_once(':').is_some_and(|(_, tag)| tag == wanted);
    let (path, count) = (path.display(), names.iter().filter(is_tagged).count());
    match count {
        0 | 1 => format!("`{path}` has no image `{wanted}`"),
        _ => format!("{count} images of `{path}` have the tag `{wanted}`; give a whole name"),
    }
}

/// The names to choose from, as part of a message.
fn choices(names: &[String]) -> String {
    /// The number of names shown.
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
