//! The Nix store: its paths, where they physically are, and what is below them.

mod identity;
mod listing;
mod names;
mod path;
mod shared;
mod walk;

pub use identity::Identity;
pub use listing::{Entry, Listing, Node};
pub use path::{Store, StoreError, StorePath};
pub use shared::SharedListings;
pub(crate) use walk::open_directory;
pub use walk::{Scan, WalkError, scan};
