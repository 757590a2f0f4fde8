//! `load --import`, which links, reflinks or copies an image's files from the store: tests that the
//! engine then has what it would have made itself, and that the store is unchanged.
//!
//! Each test also runs with `NIX_IMAGE_TEST_IMPORT=off`, which disables imports, as a control run
//! that tests the tests.

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
