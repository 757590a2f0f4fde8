//! Container images made from Nix store paths: their layers, bytes and digests.
//!
//! A [`conf::Conf`] describes an [`Image`]. A [`Digester`] finds the digests of its layers in the
//! [`cache`] or by hashing. [`read_ahead`] reads the layers' bytes in the image's order, and
//! [`Blobs`] reads them on demand.

mod atomic_file;
pub mod base;
mod blobs;
pub mod bounded;
pub mod budget;
mod buffers;
pub mod cache;
pub mod compress;
pub mod conf;
mod content;
mod error;
mod hashing;
mod image;
pub mod layer;
mod leftovers;
pub mod members;
pub mod one_layer;
mod reading;
pub mod store;
mod survey;
pub mod threads;

pub use atomic_file::{AtomicFile, FileError, sync_directory};
pub use blobs::{Blob, Blobs};
pub use buffers::Buffers;
pub use content::{Chunk, Content, ReadError};
pub use error::Error;
pub use hashing::{Digester, Meter};
pub use image::{Existing, Image, ImageError, Stored, check_layer_options};
pub use layer::Layer;
pub use leftovers::{Leftover, remove_on_signals};
pub use reading::{Chunks, read_ahead};
pub use survey::{Depth, Survey};
