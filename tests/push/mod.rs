//! `nix-image push` with registries: a real one, one that counts, and ones that misbehave.

mod faults;
mod hostile;
pub(crate) mod images;
mod memory;
mod operands;
mod preview;
mod real;
mod retries;
mod secrets;
mod traffic;
