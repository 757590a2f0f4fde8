//! Manifests and indexes of one repository.

use super::RegistryError;
use super::blobs::{Repository, check_digest};
use super::client::Call;
use super::text::read_bounded;
use crate::{Flavor, MAX_DOCUMENT};
use formats::digest::Digest;

/// A manifest or index, as a registry has it.
#[derive(Clone, Debug)]
pub struct Document {
    /// What the registry says it is.
    pub media_type: Option<String>,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Their digest.
    pub digest: Digest,
}

impl Repository {
    /// The manifest or index that a tag, or a digest with `sha256:`, names, if it is there.
    pub fn manifest(&self, name: &str) -> Result<Option<Document>, RegistryError> {
        let place = format!("/v2/{}/manifests/{name}", self.name);
        let what = || format!("reading the manifest `{name}` of `{}`", self.name);
        let accept = [Flavor::Oci, Flavor::Docker]
            .map(|flavor| format!("{}, {}", flavor.manifest(), flavor.index()))
            .join(", ");
        let headers = [("accept", accept.as_str())];
        let call = Call { method: "GET", place: &place, headers: &headers, body: &[] };
        let mut response = self.client.call(call, &[404])?;
        if response.status() == 404 {
            return Ok(None);
        }
        let media_type = response.headers().get("content-type");
        let media_type = media_type.and_then(|value| value.to_str().ok());
        let media_type =
            media_type.map(|text| text.split(';').next().unwrap_or_default().trim().to_owned());
        let bytes = read_bounded(response.body_mut(), MAX_DOCUMENT, what)?;
        let digest = Digest::of(&bytes);
        check_digest(&response, digest, what)?;
        let asked = name.parse().ok();
        if let Some(expected) = asked.filter(|asked| *asked != digest) {
            return Err(RegistryError::Digest { what: what(), expected, found: digest });
        }
        Ok(Some(Document { media_type, bytes, digest }))
    }

    /// Stores a manifest or index under a tag, or under its digest with `sha256:`. All that it
    /// names has to be there.
    pub fn put_manifest(
        &self,
        name: &str,
        media_type: &str,
        document: &str,
    ) -> Result<(), RegistryError> {
        let place = format!("/v2/{}/manifests/{name}", self.name);
        let headers = [("content-type", media_type)];
        let body = document.as_bytes();
        let call = Call { method: "PUT", place: &place, headers: &headers, body: &[body] };
        let response = self.client.call(call, &[])?;
        let what = || format!("storing the manifest `{name}` of `{}`", self.name);
        check_digest(&response, Digest::of(body), what)
    }
}
