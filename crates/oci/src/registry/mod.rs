//! A registry client that follows the OCI distribution specification, with as few requests as
//! possible.
//!
//! Answers from a registry are trusted as little as possible: documents are read up to a limit and
//! must have the requested digest, addresses from the registry get none of our secrets unless they
//! are its own, and its messages are escaped, redacted and shortened.
//!
//! It is built in layers. Each one knows those below it, and none above:
//!
//! | layer | what it does |
//! |---|---|
//! | `repository` | one repository's blobs, uploads and manifests |
//! | `login` | checks and stores a name and a password from the user |
//! | `client` | finds the registry's address, and repeats a call until its result is final |
//! | `session` | challenges, tokens and the header that answers them; redacts secrets in messages |
//! | `retry` | how often, and after what pause, to retry: the only such policy |
//! | `error` | errors and their messages |
//! | `credentials` | finds and stores credentials for docker, podman and skopeo |
//! | `transport` | one request: limits, TLS, proxies, host names; nothing about registries |
//! | `query` | encodes values in an address |

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
pub use credentials::{CredentialsError, Place};
pub use error::{LoginError, RegistryError};
pub use login::Login;
pub use repository::{Document, Download, Repository, Upload};
pub use retry::Attempts;
pub use transport::{Failure, read_parts};
