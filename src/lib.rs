//! Makes container images out of Nix store paths, byte for byte as nixpkgs' dockerTools does, and
//! brings them to where they are used.
//!
//! A [`Conf`] is the JSON file that `dockerTools.streamLayeredImage` and this project's Nix
//! functions write. The [`Image`] that it describes has layers, of which a [`Digester`] finds the
//! digests: on all cores, or from a [`Cache`]. A [`Sink`] takes the image from there:
//! [`DockerArchive`] and [`OciArchive`] write one file, [`OciLayout`] a directory, and [`Push`]
//! sends what a registry lacks. An [`Observer`] is told how it goes on; `&()` is one that does not
//! listen.
//!
//! # Examples
//!
//! Stream an image to standard output, as nixpkgs' script does. This file is
//! `examples/stream.rs`:
//!
//! ```no_run
#![doc = include_str!("../examples/stream.rs")]
//! ```
//!
//! Print its layers' digests, and how they come about (`examples/digest.rs`):
//!
//! ```no_run
#![doc = include_str!("../examples/digest.rs")]
//! ```
#![cfg_attr(
    feature = "push",
    doc = "
Push it to a registry, sending only what that lacks (`examples/push.rs`):

```no_run"
)]
#![cfg_attr(feature = "push", doc = include_str!("../examples/push.rs"))]
#![cfg_attr(feature = "push", doc = "```")]
//!
//! # Features
//!
//! All are on by default. `push`, `load` and `serve` are these commands of the program; only `push`
//! brings TLS along. `cli` is the program itself, so a library does well without:
//!
//! ```toml
//! nix-image = { version = "0.1", default-features = false, features = ["push"] }
//! ```
//!
//! # Stability
//!
//! What stands here is the interface; it is pinned by a test. The crates `nix-image-formats`,
//! `nix-image-planner`, `nix-image-oci`, `nix-image-image` and `nix-image-delivery` are internal:
//! they may change with any version.

#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
mod error;
#[cfg(feature = "cli")]
mod report;

pub use delivery::output::{Output, Writer};
#[cfg(feature = "push")]
pub use delivery::push::{Options as PushOptions, Push, Pushed};
pub use delivery::{DockerArchive, Observer, OciArchive, OciLayout, Sink, Step, Transfer};
pub use error::Error;
pub use formats::digest::{BlobId, Digest};
pub use image::cache::Cache;
pub use image::conf::Conf;
pub use image::{Digester, Image, Layer};
pub use oci::Reference;
