//! A small blocking client for containerd's own API.
//!
//! A [`Client`] talks to one namespace of the containerd at a unix socket. What it creates under a
//! [`Lease`] is safe from containerd's garbage collection until an image refers to it, and is
//! collected if no image ever does.
//!
//! The messages are those of containerd's `api/services/*/v1/*.proto`, as far as containerd 1.6 and
//! 2.x agree on them.

mod client;
mod connection;
mod content;
mod error;
mod images;
mod leases;
mod messages;
mod mounts;
mod plugins;
mod snapshots;
mod status;
mod stream;
mod upload;

use std::collections::BTreeMap;

pub use client::{Client, Version};
pub use content::Content;
pub use error::{Error, Reason};
pub use images::Image;
pub use leases::Lease;
pub use mounts::{Mount, lower_directories, writable_directory};
pub use snapshots::{Kind, Snapshot, Snapshots};
pub use upload::Upload;

/// Labels of a lease, snapshot, blob or image. containerd refuses a label whose key and value
/// together are longer than 4,096 bytes.
pub type Labels = BTreeMap<String, String>;
