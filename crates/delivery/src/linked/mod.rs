//! Places the layers of images directly in an engine's storage, where they are unpacked. Most of
//! their files are linked from the store, as they are the same.

mod archive;
mod blob_files;
mod content;
mod error;
mod layer;
mod snapshots;
mod storage;

pub use crate::trees::{Count, Counts, Import, Way, Ways};
pub use error::LinkError;
pub use snapshots::{IntoContainerd, chain_ids};
pub use storage::{IntoStorage, Placed, layer_ids, owners_on_disk};
