//! Why an image cannot be pulled.

use std::error;
use std::io;

use thiserror::Error;

use formats::digest::Digest;
use image::FileError;
use oci::registry::RegistryError;
use oci::{DocumentError, ReferenceError};

/// Why an image cannot be pulled.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PullError {
    /// The registry has no such image.
    #[error(
        "the registry has no image `{0}`; check the name, or log in if the repository is private"
    )]
    Missing(String),
    /// A registry refuses or cannot be reached.
    #[error(transparent)]
    Registry(Box<RegistryError>),
    /// A document is not valid.
    #[error("the {what} of `{image}` is not valid")]
    Document {
        /// Which document.
        what: &'static str,
        /// The image.
        image: String,
        /// Why.
        source: Box<DocumentError>,
    },
    /// The image has Docker's first kind of manifest.
    #[error(
        "`{0}` has a manifest of schema 1, which registries no longer take and which does not say \
         what the image's configuration is; pull and push it again with a current docker or skopeo"
    )]
    Schema1(String),
    /// It is something other than an image.
    #[error("`{image}` is not an image but an artifact: its configuration is `{media_type}`")]
    Artifact {
        /// Its name.
        image: String,
        /// The media type of its configuration.
        media_type: String,
    },
    /// An index leads to another index.
    #[error("`{0}` is an index of indexes; name one of those inside by its digest")]
    NestedIndex(String),
    /// No image of an index is for the platform.
    #[error("`{image}` has no image for {wanted}; it has those for {}", list(.found))]
    NoPlatform {
        /// The index.
        image: String,
        /// What was wanted.
        wanted: String,
        /// What there is.
        found: Vec<String>,
    },
    /// The documents of an image contradict each other.
    #[error("`{image}` has {layers} layers, but {diff_ids} diff_ids in its configuration")]
    Unequal {
        /// The image.
        image: String,
        /// Layers in its manifest.
        layers: usize,
        /// The `diff_ids` in its configuration.
        diff_ids: usize,
    },
    /// The configuration is not a configuration.
    #[error("the configuration of `{image}` is not valid")]
    Config {
        /// The image.
        image: String,
        /// Why.
        source: serde_json::Error,
    },
    /// A manifest is not UTF-8.
    #[error("the manifest of `{0}` is not UTF-8")]
    NotText(String),
    /// A layer has a media type that is not a layer's.
    #[error("its media type `{0}` is not a layer's")]
    LayerType(String),
    /// A layer is not in the registry, and need not be.
    #[error(
        "the registry does not give it: it is a foreign layer, which its publisher alone \
         distributes; push the image to a registry of your own with all of its layers"
    )]
    Foreign(#[source] Box<RegistryError>),
    /// A layer cannot be fetched.
    #[error("fetching layer {number}, the blob {digest}")]
    Layer {
        /// The layer, counted from 1.
        number: usize,
        /// Its digest.
        digest: Digest,
        /// Why.
        source: Box<PullError>,
    },
    /// A blob cannot be fetched.
    #[error("fetching a blob")]
    Fetching(#[source] io::Error),
    /// A layer cannot be decompressed.
    #[error("its {0} data cannot be decompressed")]
    Compression(&'static str, #[source] io::Error),
    /// A blob is not what its digest says.
    #[error("the registry sent something else under that digest: it is {found}")]
    WrongBlob {
        /// What it is.
        found: Digest,
    },
    /// A layer is not what the configuration says.
    #[error("its diffID is {found}, but the configuration says {expected}")]
    WrongLayer {
        /// What it is.
        found: Digest,
        /// What it should be.
        expected: Digest,
    },
    /// The name that the image is to get is not valid.
    #[error(transparent)]
    Name(Box<ReferenceError>),
    /// The output cannot be written.
    #[error("writing the archive")]
    Writing(#[source] io::Error),
    /// A file cannot be written or named.
    #[error(transparent)]
    Output(Box<crate::Error>),
}

impl PullError {
    /// The error of another part that this one stands for, or this one.
    pub fn inner(&self) -> &(dyn error::Error + 'static) {
        match self {
            Self::Registry(error) => &**error,
            Self::Name(error) => &**error,
            Self::Output(error) => error.inner(),
            _ => self,
        }
    }

    /// The error of reading a blob: what the registry did, if it is that.
    pub(super) fn reading(error: io::Error) -> Self {
        match error.downcast::<RegistryError>() {
            Ok(error) => error.into(),
            Err(error) => Self::Fetching(error),
        }
    }
}

impl From<RegistryError> for PullError {
    fn from(error: RegistryError) -> Self {
        Self::Registry(error.into())
    }
}

impl From<ReferenceError> for PullError {
    fn from(error: ReferenceError) -> Self {
        Self::Name(error.into())
    }
}

impl From<crate::Error> for PullError {
    fn from(error: crate::Error) -> Self {
        Self::Output(error.into())
    }
}

impl From<FileError> for PullError {
    fn from(error: FileError) -> Self {
        crate::Error::from(error).into()
    }
}

fn list(platforms: &[String]) -> String {
    /// As many as a line holds.
    const SHOWN: usize = 12;
    match platforms {
        [] => "no platform".into(),
        _ if platforms.len() > SHOWN => format!("{}, …", platforms[..SHOWN].join(", ")),
        _ => platforms.join(", "),
    }
}
