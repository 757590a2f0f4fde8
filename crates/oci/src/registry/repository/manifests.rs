//! Manifests and indexes, by tag or digest.

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{Request, StatusCode};

use super::{Repository, check_digest, empty, header};
use crate::registry::RegistryError;
use crate::registry::session::read_bounded;
use crate::{Flavor, MAX_DOCUMENT};
use formats::digest::Digest;

/// A manifest or index from a registry.
#[derive(Clone, Debug)]
pub struct Document {
    /// The media type that the registry reports.
    pub media_type: Option<String>,
    /// The document's bytes.
    pub bytes: Vec<u8>,
    /// The digest of the bytes.
    pub digest: Digest,
}

impl Repository {
    /// The manifest or index with this tag, or with this digest if it begins with `sha256:`. `None`
    /// if it does not exist.
    pub fn manifest(&self, name: &str) -> Result<Option<Document>, RegistryError> {
        let what = || format!("reading the manifest `{name}` of `{}`", self.name);
        let accept = [Flavor::Oci, Flavor::Docker]
            .map(|flavor| format!("{}, {}", flavor.manifest(), flavor.index()))
            .join(", ");
        let request = empty(Request::get(self.manifest_path(name)).header(ACCEPT, accept))?;
        let mut answer = self.client.call(request, &[StatusCode::NOT_FOUND])?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let media_type = header(&answer, CONTENT_TYPE);
        let media_type =
            media_type.map(|text| text.split(';').next().unwrap_or_default().trim().to_owned());
        let bytes = read_bounded(&mut answer, MAX_DOCUMENT, what)?;
        let digest = Digest::of(&bytes);
        check_digest(&answer, digest, what)?;
        let asked = name.parse().ok();
        if let Some(expected) = asked.filter(|asked| *asked != digest) {
            return Err(RegistryError::Digest { what: what(), expected, found: digest });
        }
        Ok(Some(Document { media_type, bytes, digest }))
    }

    /// Stores a manifest or index under a tag, or under its digest with `sha256:`. Everything that
    /// it refers to must already exist.
    pub fn put_manifest(
        &self,
        name: &str,
        media_type: &str,
        document: &str,
    ) -> Result<(), RegistryError> {
        let body = document.as_bytes();
        let request = Request::put(self.manifest_path(name)).header(CONTENT_TYPE, media_type);
        let answer = self.client.call(request.body(&[body][..])?, &[])?;
        let what = || format!("storing the manifest `{name}` of `{}`", self.name);
        check_digest(&answer, Digest::of(body), what)
    }

    fn manifest_path(&self, name: &str) -> String {
        format!("/v2/{}/manifests/{name}", self.name)
    }
}
