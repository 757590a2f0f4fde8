//! Container images made from Nix store paths: what they consist of, their bytes and digests.

pub mod base;
pub mod budget;
pub mod cache;
pub mod compress;
pub mod conf;
pub mod engine;
mod image;
pub mod layer;
pub mod store;
pub mod threads;

pub use image::*;
