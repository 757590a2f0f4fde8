//! Delivers images to where they are used: archives, layouts, registries, container engines.
//!
//! Each destination is a [`Sink`] or has one, and reports its progress to an [`Observer`].

mod archive;
mod causes;
mod error;
pub mod export;
#[cfg(feature = "serve")]
pub mod http;
mod layout;
#[cfg(all(feature = "load", target_os = "linux"))]
pub mod linked;
#[cfg(feature = "load")]
pub mod load;
pub mod merge;
mod observer;
pub mod output;
#[cfg(feature = "pull")]
pub mod pull;
#[cfg(feature = "push")]
pub mod push;
#[cfg(feature = "serve")]
pub mod serve;
mod sink;
mod transfer;
#[cfg(all(feature = "load", target_os = "linux"))]
pub mod trees;

pub use archive::{DockerArchive, OciArchive};
pub use error::{Error, LayoutError, MarkerError, OutputError, is_closed};
pub use layout::OciLayout;
pub use observer::{Observer, Step};
pub use sink::Sink;
pub use transfer::Transfer;
