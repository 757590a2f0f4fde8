//! Why an image cannot be pushed.

use std::error;
use std::io;

use thiserror::Error;

use crate::causes;
use formats::digest::Digest;
use image::threads::ThreadError;
use oci::registry::RegistryError;
use oci::{DocumentError, Reference};

/// Why an image cannot be pushed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PushError {
    /// Two images are for the same platform.
    #[error("two of the images are for {0}; an index can have only one for each platform")]
    SamePlatform(String),
    /// No name to push to was given.
    #[error("no name to push to")]
    NoName,
    /// A registry refused a request or cannot be reached.
    #[error(transparent)]
    Registry(Box<RegistryError>),
    /// The image cannot be read or digested.
    #[error(transparent)]
    Image(#[from] image::Error),
    /// The registry cannot be asked which layers it has; it would refuse the push too.
    #[error("finding out which layers `{reference}` has")]
    Learning {
        /// The image.
        reference: Reference,
        /// Why.
        source: Box<PushError>,
    },
    /// A layer cannot be pushed.
    #[error("pushing layer {}", layer + 1)]
    Layer {
        /// The layer, counted from 0.
        layer: usize,
        /// Why.
        source: Box<PushError>,
    },
    /// A layer's blob cannot be made.
    #[error("making a blob")]
    Making(#[source] io::Error),
    /// The thread that reads a layer ended unexpectedly.
    #[error("the layer ended early")]
    EndedEarly,
    /// A document in the registry is not valid.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// An image's config in the registry is not valid JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// An image's documents in the registry contradict each other.
    #[error("it has {layers} layers, but {diff_ids} diff_ids")]
    Unequal {
        /// The number of layers in its manifest.
        layers: usize,
        /// The number of `diff_ids` in its config.
        diff_ids: usize,
    },
    /// A registry makes a false claim about a layer.
    #[error(transparent)]
    Claim(#[from] FalseClaim),
}

impl PushError {
    /// The error of another module that this one wraps, or this one itself.
    pub fn inner(&self) -> &(dyn error::Error + 'static) {
        match self {
            Self::Registry(error) => &**error,
            Self::Image(error) => error.inner(),
            Self::Document(error) => error,
            Self::Json(error) => error,
            Self::Claim(error) => error,
            _ => self,
        }
    }

    /// The error with its causes on one line.
    pub(super) fn line(&self) -> String {
        causes::line(self)
    }
}

impl From<RegistryError> for PushError {
    fn from(error: RegistryError) -> Self {
        Self::Registry(error.into())
    }
}

impl From<ThreadError> for PushError {
    fn from(error: ThreadError) -> Self {
        image::Error::from(error).into()
    }
}

/// An image in a registry claims that a layer has another diffID than was found here.
#[derive(Debug, Error)]
#[error(
    "layer {number} has the diffID {found} here, but an image in the registry has {claimed} for \
     the same store paths; either the store or that image is damaged, so verify the store with \
     `nix-store --verify --check-contents`"
)]
pub struct FalseClaim {
    /// The layer, counted from 1.
    pub number: usize,
    /// The diffID according to the image in the registry.
    pub claimed: Digest,
    /// The diffID that was found here.
    pub found: Digest,
}
