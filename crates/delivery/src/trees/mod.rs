//! Places the files of a layer in a container engine's storage.
//!
//! Most files of an image already exist in the store, with the owner, mode and time that they have
//! in the layer. [`Ways`] finds out how such a file can get from the store into the engine's
//! directory: as a hard link, a reflink or a copy. A [`TreeWriter`] creates the tree of a layer
//! from its entries, as the engine itself would unpack them; [`remove_tree`] deletes one.
//!
//! Files in the store never change: linked files are never opened for writing and never get another
//! mode, owner, time or attribute, and if a later entry replaces one, it is only unlinked.

mod counts;
mod entry;
mod error;
mod files;
mod folders;
mod metadata;
mod mounts;
mod remove;
mod rules;
mod way;
mod ways;
mod writer;

pub use counts::{Count, Counts};
pub use entry::{Content, Entry, Time, Xattr};
pub use error::{End, TreeError, WayError, is_full};
pub use folders::StoreFolders;
pub use remove::remove_tree;
pub use rules::{OwnerOnDisk, Parents, Rules};
pub use way::{Import, Way};
pub use ways::Ways;
pub use writer::TreeWriter;
