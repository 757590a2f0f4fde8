//! The integration tests: one binary, one module for each concern.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

mod bad_input;
mod base;
mod cache;
mod cli;
mod golden;
mod load;
mod memory;
mod original;
mod plan;
mod properties;
mod push;
mod python_formats;
mod serve;
mod support;
mod write;
