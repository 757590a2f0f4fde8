//! Builds container images from Nix store paths and delivers them.

pub mod cli;
pub mod plan;
pub mod python;
pub mod sha256;
