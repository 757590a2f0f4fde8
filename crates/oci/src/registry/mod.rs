//! A client of registries, by the OCI distribution specification, with as few requests as it takes.
//!
//! Nothing that a registry answers is trusted further than it has to be: documents are read up to
//! a limit and must have the digest they are asked for by, addresses that it gives get no
//! secret of ours unless they are its own, and its messages are made plain,
//! freed of our secrets and shortened.
//!
//! It is built in layers. Each knows those below it, and none above:
//!
//! | layer | what it knows |
//! |---|---|
//! | `repository` | one repository's blobs, uploads and manifests |
//! | `login` | a name and a password that the user gives: whether they are right, and keeping them |
//! | `client` | where the registry is, and that a call is repeated until it is answered for good |
//! | `session` | challenges, tokens and the header that answers them; what no message may repeat |
//! | `retry` | how often, and after what time, anything is tried again: the only such policy |
//! | `error` | all that can go wrong, in words |
//! | `credentials` | what docker, podman and skopeo were given to log in with, and writing it |
//! | `transport` | one request: limits, TLS, proxies, names of hosts; nothing of registries |
//! | `query` | how values are written in an address |

mod client;
mod credentials;
mod error;
mod login;
mod query;
mod repository;
mod retry;
mod session;
mod transport;

pub use client::{Client, Options};
pub use credentials::CredentialsError;
pub use error::{LoginError, RegistryError};
pub use login::Login;
pub use repository::{Document, Download, Repository, Upload};
pub use retry::Attempts;
pub use transport::{Failure, read_parts};
