//! Builds container images from Nix store paths and delivers them.

pub mod cli;
mod report;
