//! `load --import`, which links, reflinks or copies an image's files from the store: proofs that an
//! engine then holds what it would have made itself, and that the store stays as it was.
//!
//! Each test also runs with `NIX_IMAGE_TEST_IMPORT=off`, without any of that, as a control: then it
//! is the test that is tested.

mod content;
mod disk;
mod fixture;
mod image_store;
mod killed;
mod listing;
mod nix;
mod rootless;
mod same_as_loaded;
pub(crate) mod state;
mod store_untouched;
