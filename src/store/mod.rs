//! The Nix store: its paths, where they physically are, and what is below them.

mod listing;
mod path;
mod walk;

pub use listing::{Entry, Listing, Node};
pub use path::{Store, StoreError, StorePath};
pub(crate) use walk::open_directory;
pub use walk::{Identity, Scan, WalkError, scan};
