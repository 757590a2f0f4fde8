//! One repository of a registry: its blobs, uploads and manifests.
//!
//! This layer knows the distribution specification's paths, headers and statuses. It knows nothing
//! about tokens, addresses or retries, which belong to the layers below.

mod blobs;
mod download;
mod manifests;
mod uploads;

use std::sync::Arc;

use http::header::AsHeaderName;
use http::{HeaderName, Request, request};

use super::RegistryError;
use super::client::Client;
use super::transport::{Answer, Payload};
pub use download::Download;
use formats::digest::Digest;
pub use manifests::Document;
pub use uploads::Upload;

/// The maximum number of characters shown from messages about a registry's documents.
const MAX_SHOWN: usize = 500;
/// The header with the digest of a blob or document.
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// A repository of a registry.
#[derive(Clone, Debug)]
pub struct Repository {
    client: Arc<Client>,
    name: String,
}

impl Repository {
    /// A repository that the client has access to.
    pub fn new(client: &Arc<Client>, name: &str) -> Self {
        Self { client: Arc::clone(client), name: name.into() }
    }

    /// Its name in its registry.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A text that includes something from the registry, made safe to display.
    pub fn show(&self, text: &str) -> String {
        self.client.show(text, MAX_SHOWN)
    }
}

/// A request without a body.
fn empty(request: request::Builder) -> Result<Request<Payload<'static>>, RegistryError> {
    Ok(request.body(&[][..])?)
}

/// The value of a header, or `None` if it is missing or not text.
fn header(answer: &Answer, name: impl AsHeaderName) -> Option<&str> {
    answer.headers().get(name)?.to_str().ok()
}

/// Checks the digest that a registry reports for what it stored, if it reports one.
fn check_digest(
    answer: &Answer,
    expected: Digest,
    what: impl Fn() -> String,
) -> Result<(), RegistryError> {
    let Some(value) = answer.headers().get(CONTENT_DIGEST) else { return Ok(()) };
    let text = value.to_str().unwrap_or_default();
    match text.parse::<Digest>().ok() {
        Some(found) if found == expected => Ok(()),
        Some(found) => Err(RegistryError::Digest { what: what(), expected, found }),
        None => Err(RegistryError::Answer {
            what: what(),
            problem: "its digest is not a SHA-256".into(),
        }),
    }
}
