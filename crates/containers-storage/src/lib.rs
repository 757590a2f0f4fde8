//! The on-disk storage of podman, buildah, skopeo and CRI-O, for the overlay driver.
//!
//! The format is containers/storage's own and has no specification. This crate follows what podman
//! 4.3 (containers/storage 1.43) writes, and the library's source up to 1.65.
//!
//! Locks are taken in the library's order: layers first, then images. To add an image, keep
//! [`Layers`] until [`Images::put`] has returned. Otherwise `podman rmi` of an image with the same
//! layers may remove them in between.
//!
//! ```no_run
//! # use nix_image_containers_storage as containers_storage;
//! # use formats::digest::Digest;
//! use containers_storage::{Facts, FinishedLayer, NewLayer, Storage, layer_id};
//! use std::time::Duration;
//!
//! # fn add(diff_id: Digest, tar_split: &mut dyn std::io::Read) -> Result<(), containers_storage::Error> {
//! let storage = Storage::open("/var/lib/containers/storage".as_ref())?;
//! let patience = Duration::from_secs(60);
//! let mut layers = storage.layers(patience)?;
//! let id = layer_id(None, diff_id);
//! if layers.get(id).is_none() {
//!     let new = NewLayer { id, parent: None, diff_id };
//!     let trees = layers.begin(&[new])?;
//!     // Write the layer's entries to trees[0] here.
//!     let facts = Facts { size: 10240, uids: [0].into(), gids: [0].into() };
//!     layers.finish(vec![FinishedLayer { id, facts, tar_split, root_mode: None }])?;
//! }
//! let images = storage.images(patience)?;
//! // Put the image into `images` here, while both are locked.
//! # Ok(())
//! # }
//! ```

mod driver;
mod error;
mod files;
mod garbage;
mod images;
mod layer;
mod layers;
mod lock;
mod records;
mod snapshot;
mod storage;
mod time;
mod users;

pub use error::{Error, Holder};
pub use garbage::Collected;
pub use images::{Image, Images, NewImage};
pub use layer::{Facts, Layer, NewLayer, layer_id};
pub use layers::{FinishedLayer, Layers};
pub use snapshot::Snapshot;
pub use storage::{Kind, Storage};
