//! Brings images to where they are used.

#[cfg(feature = "load")]
mod causes;
#[cfg(feature = "serve")]
pub mod http;
#[cfg(feature = "load")]
pub mod load;
mod observer;
pub mod push;
#[cfg(feature = "serve")]
pub mod serve;
pub mod sink;
mod transfer;

pub use observer::{Observer, Step};
pub use transfer::Transfer;
