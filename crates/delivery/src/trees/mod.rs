//! Puts the files of a layer where a container engine keeps them unpacked.
//!
//! Most files of an image lie in the store already, with the owner, mode and time that the layer
//! gives them. [`Ways`] finds out how such a file gets from the store into the engine's directory:
//! as a hard link, a reflink or a copy. A [`TreeWriter`] makes the tree of one layer out of its
//! entries, as the engine itself would unpack them; [`remove_tree`] deletes one.
//!
//! A file of the store never changes: what is linked gets no mode, owner, time or attribute, is
//! never opened for writing, and is unlinked where a later entry replaces it.

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
