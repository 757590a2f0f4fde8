//! The targets of nix-image's fuzzers, for the programs in `fuzz_targets`.

pub mod peers;
#[path = "../targets/mod.rs"]
pub mod targets;
