//! Why an image cannot be made, read or digested.

use std::error;
use std::io;

use thiserror::Error;

use crate::base::BaseError;
use crate::conf::ConfError;
use crate::image::ImageError;
use crate::layer::LayerError;
use crate::threads::ThreadError;
use formats::digest::{BlobId, Digest};

/// Why an image cannot be made, read or digested. The messages count layers from 1.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The conf cannot be used.
    #[error(transparent)]
    Conf(#[from] ConfError),
    /// No image can be made of the conf.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A layer cannot be read.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// An image in an archive or layout cannot be used.
    #[error(transparent)]
    Base(#[from] BaseError),
    /// A thread could not be started.
    #[error(transparent)]
    Thread(#[from] ThreadError),
    /// The store paths changed between two entries.
    #[error(
        "the store paths of layer {} changed while they were being read: {expected} bytes \
         expected before an entry, {found} found; nothing may write to the store meanwhile",
        layer + 1
    )]
    Moved {
        /// The layer, counted from 0.
        layer: usize,
        /// Bytes of the layer's tar file before the entry, as counted by one reader.
        expected: u64,
        /// And as counted by the other.
        found: u64,
    },
    /// A layer does not have the same size as when it was digested.
    #[error(
        "layer {} changed: {expected} bytes expected, {found} bytes found; run the command again",
        layer + 1
    )]
    Resized {
        /// The layer, counted from 0.
        layer: usize,
        /// The size when it was digested.
        expected: u64,
        /// The bytes read.
        found: u64,
    },
    /// A layer changed after it was digested.
    #[error(
        "layer {} changed while it was being written: {} and {} bytes expected, {}{size} bytes \
         found; run the command again",
        layer + 1,
        expected.digest,
        expected.size,
        found.map(|found| format!("{found} and ")).unwrap_or_default()
    )]
    Changed {
        /// The layer, counted from 0.
        layer: usize,
        /// The former digest and size.
        expected: BlobId,
        /// The current size.
        size: u64,
        /// The current digest, if the layer was hashed.
        found: Option<Digest>,
    },
    /// A compressed layer of the base image changed after its blob was digested.
    #[error(
        "layer {} of the base image changed: {expected} expected, {found} found; run the command \
         again",
        layer + 1
    )]
    BaseChanged {
        /// The layer, counted from 0.
        layer: usize,
        /// The former digest of its blob.
        expected: Digest,
        /// The current one.
        found: Digest,
    },
    /// The digest remembered for the same NAR hashes is not that of the layer.
    #[error(
        "layer {} is {found}, but the cache says {expected} for paths with the same NAR hashes; \
         one of the trees is damaged, and the cache entry was removed; verify the paths with \
         `nix-store --verify-path`, then run the command again",
        layer + 1
    )]
    Unequal {
        /// The layer, counted from 0.
        layer: usize,
        /// The digest in the cache.
        expected: Digest,
        /// The digest of the layer.
        found: Digest,
    },
    /// The tar file of a layer cannot be parsed.
    #[error("layer {} cannot be read", layer + 1)]
    Unreadable {
        /// The layer, counted from 0.
        layer: usize,
        /// Why.
        source: io::Error,
    },
    /// Another thread stopped before all layers were read.
    #[error("reading the layers ended early")]
    EndedEarly,
}

impl Error {
    /// The error of another module that this one wraps, or this one.
    pub fn inner(&self) -> &(dyn error::Error + 'static) {
        match self {
            Self::Conf(error) => error,
            Self::Image(error) => error,
            Self::Layer(error) => error,
            Self::Base(error) => error,
            Self::Thread(error) => error,
            _ => self,
        }
    }
}
