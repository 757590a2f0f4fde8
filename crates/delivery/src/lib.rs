//! Brings images to where they are used.

pub mod http;
pub mod load;
pub mod progress;
pub mod push;
pub mod serve;
pub mod sink;
