//! Builds container images from Nix store paths and delivers them.
//!
//! The way of the data is one-directional: a [`conf`] describes an [`image`], whose layers get
//! their digests from the [`engine`] (or the [`cache`]), and a [`sink`] takes descriptors first
//! and bytes where it needs them.

pub mod base;
pub mod budget;
pub mod cache;
pub mod cli;
pub mod compress;
pub mod conf;
pub mod digest;
pub mod engine;
pub mod http;
pub mod image;
pub mod layer;
pub mod load;
pub mod oci;
pub mod plan;
pub mod progress;
pub mod push;
pub mod python;
pub mod registry;
pub mod serve;
pub mod sha256;
pub mod sink;
pub mod store;
pub mod tar;
pub mod threads;
