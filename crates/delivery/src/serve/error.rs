//! Why images cannot be served.

use std::io;
use std::net::SocketAddr;

use thiserror::Error;

/// Why images cannot be served.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address and port.
        address: SocketAddr,
        /// The error of the operating system.
        source: io::Error,
    },
    /// Two of the images have the same name.
    #[error("two of the images are called `{repository}:{tag}`; give one of them another name")]
    SameName {
        /// The repository of both.
        repository: String,
        /// The tag of both.
        tag: String,
    },
}
