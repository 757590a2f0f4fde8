//! The fuzz targets of nix-image, for the programs in `fuzz_targets`.

pub mod peers;
#[path = "../targets/mod.rs"]
pub mod targets;
