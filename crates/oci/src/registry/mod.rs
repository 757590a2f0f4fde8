//! A client of registries, by the OCI distribution specification, with as few requests as it takes.
//!
//! Nothing that a registry answers is trusted further than it has to be: documents are read up to
//! a limit and must have the digest they are asked for by, addresses that it gives get no
//! secret of ours unless they are its own, and its messages are made plain,
//! freed of our secrets and shortened.

mod auth;
mod blobs;
mod client;
mod credentials;
mod error;
mod failure;
mod manifests;
mod proxy;
mod resolver;
mod retry;
mod secrets;
mod text;
mod transport;

pub use blobs::{Presence, Repository, Upload};
pub use client::{Client, Options};
pub use credentials::Credentials;
pub use error::RegistryError;
pub use failure::Failure;
pub use manifests::Document;
pub use retry::Attempts;
pub use transport::read_parts;
