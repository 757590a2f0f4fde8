//! Brings images to where they are used.

pub mod http;
pub mod load;
mod observer;
#[cfg(feature = "push")]
pub mod push;
pub mod serve;
pub mod sink;

pub use observer::{Observer, Step};
