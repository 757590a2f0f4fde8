//! Images whose layers are put where an engine keeps them unpacked: most of their files are in the
//! store already, as the layers have them.

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
