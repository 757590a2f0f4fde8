//! Brings images to where they are used.

pub mod http;
pub mod load;
mod observer;
pub mod push;
pub mod serve;
pub mod sink;
mod transfer;

pub use observer::{Observer, Step};
pub use transfer::Transfer;
