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

/// Why an image cannot be made, read or digested. Layers are counted from 1 in what it says.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The conf cannot be used.
    #[error(transparent)]
    Conf(#[from] ConfError),
    /// The conf makes no image.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A layer cannot be had.
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
        /// Bytes of the layer's archive before the entry by one reader's count.
        expected: u64,
        /// And by the other's.
        found: u64,
    },
    /// A layer has another number of bytes than when it was digested.
    #[error(
        "layer {} changed: {expected} bytes expected, {found} bytes found; run the command again",
        layer + 1
    )]
    Resized {
        /// The layer, counted from 0.
        layer: usize,
        /// Bytes when it was digested.
        expected: u64,
        /// Bytes that were read.
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
        /// What it was.
        expected: BlobId,
        /// Its bytes now.
        size: u64,
        /// Its digest now, if it was hashed.
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
        /// Its blob's digest before.
        expected: Digest,
        /// And now.
        found: Digest,
    },
    /// What is remembered for the same NAR hashes is not what the layer is.
    #[error(
        "layer {} is {found}, but the cache says {expected} of paths with the same NAR hashes; one \
         of these trees is damaged. What the cache said is forgotten; verify the paths with \
         `nix-store --verify-path`, then run the command again",
        layer + 1
    )]
    Unequal {
        /// The layer, counted from 0.
        layer: usize,
        /// What the cache says.
        expected: Digest,
        /// What the layer is.
        found: Digest,
    },
    /// The tar file of a layer cannot be walked through.
    #[error("layer {} cannot be read", layer + 1)]
    Unreadable {
        /// The layer, counted from 0.
        layer: usize,
        /// Why.
        source: io::Error,
    },
    /// Another thread stopped before the layers were read.
    #[error("reading the layers ended early")]
    EndedEarly,
}

impl Error {
    /// The error of another part that this one stands for, or this one.
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
