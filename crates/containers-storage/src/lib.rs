//! The storage of podman, buildah, skopeo and CRI-O on disk, where the overlay driver keeps it.
//!
//! The format is containers/storage's own: no specification has it. What is written here was taken
//! from what podman 4.3 (containers/storage 1.43) writes, and from the library up to 1.65.
//!
//! Locks are taken in the library's order: layers first, images second. To add an image, keep
//! [`Layers`] until [`Images::put`] is done. Otherwise `podman rmi` of an image with the same layers
//! may remove them in between.
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
//!     // Now the layer's entries go below trees[0].
//!     let facts = Facts { size: 10240, uids: [0].into(), gids: [0].into() };
//!     layers.finish(vec![FinishedLayer { id, facts, tar_split, root_mode: None }])?;
//! }
//! let images = storage.images(patience)?;
//! // Now the image goes into `images`, while both are locked.
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
