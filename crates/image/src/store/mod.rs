//! The Nix store: its paths, their locations on disk, and their contents.

mod database;
mod identity;
mod listing;
mod names;
mod path;
mod scan;
mod walk;

pub use database::{NarHashes, References, nar_hashes, references};
pub use identity::{Identity, identity};
pub use listing::{Entry, Listing, Node};
pub(crate) use names::{compare as compare_names, logical};
pub use path::{Store, StoreError, StorePath};
pub use scan::{Scan, scan};
pub(crate) use walk::open_directory;
pub use walk::{Found, Walk, WalkError};
