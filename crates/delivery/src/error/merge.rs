//! Why images do not become one archive.

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
    /// An archive is not one of images.
    #[error("`{0}` has no manifest.json; it is not an archive of `docker save`")]
    NoManifest(String),
    /// A document is not as it must be.
    #[error("`{member}` of `{image}` {problem}")]
    Document {
        /// The image.
        image: String,
        /// The document.
        member: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The manifest names what is not there.
    #[error("the manifest of `{image}` names `{member}`, which is not there")]
    Absent {
        /// The image.
        image: String,
        /// The member.
        member: String,
    },
    /// Two archives have different members of one name, which both need.
    #[error(
        "`{image}` and an image before it have different members `{member}`, and an archive has \
         one of a name; save one of them again"
    )]
    Conflict {
        /// The later image.
        image: String,
        /// The member.
        member: String,
    },
    /// A member has no place in an archive of images.
    #[error("`{image}` has the member `{member}`, {problem}")]
    Member {
        /// The image.
        image: String,
        /// The member.
        member: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// There are more names than memory for them.
    #[error("the names of all members take more than {0} MiB of memory; images need far less")]
    TooMuch(usize),
}

impl MergeError {
    /// The error of an image that cannot be opened or read.
    pub(crate) fn of_image(image: &str, source: impl Into<image::Error>) -> Self {
        Self::Image { image: image.to_owned(), source: Box::new(source.into()) }
    }
}
