//! Why images cannot be merged into one archive.

use std::io;

use thiserror::Error;

/// Why images cannot be merged into one archive.
#[derive(Debug, Error)]
pub enum MergeError {
    /// An image cannot be opened or read.
    #[error("cannot merge `{image}`")]
    Image {
        /// The image.
        image: String,
        /// Why.
        source: Box<image::Error>,
    },
    /// An archive cannot be read.
    #[error("cannot read the archive `{image}`")]
    Archive {
        /// The image.
        image: String,
        /// Why.
        source: io::Error,
    },
    /// An archive does not contain images.
    #[error("`{0}` has no manifest.json; it was not written by `docker save`")]
    NoManifest(String),
    /// A document is not valid.
    #[error("`{member}` of `{image}` {problem}")]
    Document {
        /// The image.
        image: String,
        /// The document.
        member: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The manifest names a missing member.
    #[error("the manifest of `{image}` names `{member}`, which is missing")]
    Absent {
        /// The image.
        image: String,
        /// The member.
        member: String,
    },
    /// Two archives need different members with the same name.
    #[error(
        "`{image}` and an image before it have different members `{member}`, but an archive \
         can only have one with that name; save one of the images again"
    )]
    Conflict {
        /// The later image.
        image: String,
        /// The member.
        member: String,
    },
    /// A member that an archive of images cannot have.
    #[error("`{image}` has the member `{member}`, {problem}")]
    Member {
        /// The image.
        image: String,
        /// The member.
        member: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The names of the members take too much memory.
    #[error("the names of all members exceed {0} MiB of memory; images need far less")]
    TooMuch(usize),
}

impl MergeError {
    /// The error for an image that cannot be opened or read.
    pub(crate) fn of_image(image: &str, source: impl Into<image::Error>) -> Self {
        Self::Image { image: image.to_owned(), source: Box::new(source.into()) }
    }
}
