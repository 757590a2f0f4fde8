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
    /// A registry refused a request or cannot be reached.
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
    /// The image has a manifest of schema 1, Docker's first format.
    #[error(
        "`{0}` has a manifest of schema 1, which registries no longer accept and which has no \
         config; pull and push it again with a current docker or skopeo"
    )]
    Schema1(String),
    /// It is something other than an image.
    #[error("`{image}` is not an image but an artifact: its config is `{media_type}`")]
    Artifact {
        /// Its name.
        image: String,
        /// The media type of its config.
        media_type: String,
    },
    /// An index refers to another index.
    #[error("`{0}` is an index of indexes; choose one of the inner indexes by its digest")]
    NestedIndex(String),
    /// An index has no image for the platform.
    #[error("`{image}` has no image for {wanted}; it has those for {}", list(.found))]
    NoPlatform {
        /// The index.
        image: String,
        /// The platform.
        wanted: String,
        /// The platforms that it has images for.
        found: Vec<String>,
    },
    /// The documents of an image contradict each other.
    #[error("`{image}` has {layers} layers, but {diff_ids} diff_ids in its config")]
    Unequal {
        /// The image.
        image: String,
        /// The number of layers in its manifest.
        layers: usize,
        /// The number of `diff_ids` in its config.
        diff_ids: usize,
    },
    /// The config is not valid.
    #[error("the config of `{image}` is not valid")]
    Config {
        /// The image.
        image: String,
        /// Why.
        source: serde_json::Error,
    },
    /// A manifest is not UTF-8.
    #[error("the manifest of `{0}` is not UTF-8")]
    NotText(String),
    /// A layer's media type is not that of a layer.
    #[error("its media type `{0}` is not that of a layer")]
    LayerType(String),
    /// A foreign layer, which registries need not have.
    #[error(
        "the registry does not provide it, as it is a foreign layer that only its publisher \
         distributes; push the image with all of its layers to your own registry"
    )]
    Foreign(#[source] Box<RegistryError>),
    /// A layer cannot be fetched.
    #[error("fetching layer {number}, the blob {digest}")]
    Layer {
        /// The layer, counted from 1.
        number: usize,
        /// The blob's digest.
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
    /// A blob does not have its digest.
    #[error("the registry sent other bytes for that digest; they have the digest {found}")]
    WrongBlob {
        /// The digest of the bytes that were sent.
        found: Digest,
    },
    /// A layer does not have its diffID.
    #[error("its diffID is {found}, but the config has {expected}")]
    WrongLayer {
        /// The diffID that was found.
        found: Digest,
        /// The diffID in the config.
        expected: Digest,
    },
    /// The name for the image is not valid.
    #[error(transparent)]
    Name(Box<ReferenceError>),
    /// The output cannot be written.
    #[error("writing the archive")]
    Writing(#[source] io::Error),
    /// A file cannot be created or renamed.
    #[error(transparent)]
    Output(Box<crate::Error>),
}

impl PullError {
    /// The error of another module that this one wraps, or this one itself.
    pub fn inner(&self) -> &(dyn error::Error + 'static) {
        match self {
            Self::Registry(error) => &**error,
            Self::Name(error) => &**error,
            Self::Output(error) => error.inner(),
            _ => self,
        }
    }

    /// The error of reading a blob: the registry's error if there is one.
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
    /// How many fit on a line.
    const SHOWN: usize = 12;
    match platforms {
        [] => "no platform".into(),
        _ if platforms.len() > SHOWN => format!("{}, …", platforms[..SHOWN].join(", ")),
        _ => platforms.join(", "),
    }
}
