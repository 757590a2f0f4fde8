//! Makes container images out of Nix store paths, byte for byte as nixpkgs' dockerTools does, and
//! delivers them to archives, layouts and registries.
//!
//! A [`Conf`] is the JSON file that `dockerTools.streamLayeredImage` and this project's Nix
//! functions write. It describes an [`Image`]. A [`Digester`] finds the digests of the image's
//! layers, by hashing them on all cores or in a [`Cache`]. Then a [`Sink`] writes the image to a
//! file ([`DockerArchive`], [`OciArchive`]) or a directory ([`OciLayout`]).
#![cfg_attr(feature = "push", doc = "A [`Push`] sends a registry only what it lacks.")]
//! An [`Observer`] receives the progress of a delivery; pass `&()` to ignore it.
//!
//! # Examples
//!
//! Stream an image to standard output, as nixpkgs' script does. This is `examples/stream.rs`:
//!
//! ```no_run
#![doc = include_str!("../examples/stream.rs")]
//! ```
//!
//! Print the digests of an image's layers, with progress while they are hashed. This is
//! `examples/digest.rs`:
//!
//! ```no_run
#![doc = include_str!("../examples/digest.rs")]
//! ```
#![cfg_attr(
    feature = "push",
    doc = "
Push an image to a registry. This is `examples/push.rs`:

```no_run"
)]
#![cfg_attr(feature = "push", doc = include_str!("../examples/push.rs"))]
#![cfg_attr(feature = "push", doc = "```")]
//!
//! # Errors
//!
//! Functions return the error type of the part that they belong to. `?` turns any of them into
//! [`Error`]. An error says what went wrong and, where possible, how to fix it; its
//! [`source`](std::error::Error::source)s say why.
//!
//! # Features
//!
//! | feature | what it adds to the library | default |
//! |---|---|---|
//! | `push` | pushing to registries, and with it TLS | yes |
//! | `pull`, `load`, `serve`, `cli` | nothing: they are for the command line | yes |
//!
//! So a library that depends on this one does not need the default features:
//!
//! ```toml
//! nix-image = { version = "0.2", default-features = false, features = ["push"] }
//! ```
//!
//! # Stability
//!
//! The interface is what is documented here, and a test pins it. The crates `nix-image-formats`,
//! `nix-image-planner`, `nix-image-contents`, `nix-image-oci`, `nix-image-containerd`,
//! `nix-image-containers-storage`, `nix-image-image` and `nix-image-delivery` are internal, and so
//! is every type that this crate does not export: they may change with any version.

#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
mod error;
#[cfg(feature = "cli")]
mod look;
#[cfg(feature = "cli")]
mod report;

pub use delivery::output::{Output, Writer};
#[cfg(feature = "push")]
pub use delivery::push::{Options as PushOptions, Push, Pushed};
pub use delivery::{DockerArchive, Observer, OciArchive, OciLayout, Sink, Step, Transfer};
pub use error::Error;
pub use formats::digest::{BlobId, Digest};
pub use image::cache::Cache;
#[cfg(feature = "push")]
pub use image::compress::Settings as CompressionSettings;
pub use image::conf::Conf;
pub use image::layer::{Kind as LayerKind, Ownership};
pub use image::{Digester, Image, Layer};
pub use oci::Reference;
#[cfg(feature = "push")]
pub use oci::registry::{Login as RegistryLogin, Options as RegistryOptions};
#[cfg(feature = "push")]
pub use oci::{Compression, Flavor};
