//! `nix-image push` against registries: a real one, one that counts, and ones that misbehave.

mod faults;
mod hostile;
mod images;
mod memory;
mod real;
mod registry;
mod traffic;
