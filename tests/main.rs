//! The integration tests: one binary, one module per topic.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

// The `#[test]` for every module.
#[macro_use]
extern crate nix_image_test_attribute;

mod api;
mod architecture;
mod bad_input;
mod base;
mod cache;
mod cli;
mod containerd_api;
mod examples;
mod export;
mod fuzz;
mod golden;
mod json;
mod layering;
mod layouts;
mod link;
mod load;
mod login;
mod look;
mod memory;
mod merge;
mod one_layer;
mod original;
mod own_layers;
mod plan;
mod properties;
mod pull;
mod push;
mod python_formats;
mod python_sets;
mod screen;
mod serve;
mod storage;
mod store;
mod stored;
mod support;
mod trees;
mod whole_files;
mod write;

fn main() {
    support::harness::run().exit();
}
