//! Brings images to where they are used.

#[cfg(feature = "serve")]
pub mod http;
#[cfg(feature = "load")]
pub mod load;
mod observer;
#[cfg(feature = "push")]
pub mod push;
#[cfg(feature = "serve")]
pub mod serve;
pub mod sink;
mod transfer;

pub use observer::{Observer, Step};
pub use transfer::Transfer;
