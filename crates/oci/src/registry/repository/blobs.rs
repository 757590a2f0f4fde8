//! Blobs: checking whether they exist, and reading them.

use http::header::CONTENT_LENGTH;
use http::{Request, StatusCode};

use super::{CONTENT_DIGEST, Repository, empty, header};
use crate::registry::client::location;
use crate::registry::query::with_query;
use crate::registry::session::read_bounded;
use crate::registry::{Attempts, RegistryError};
use formats::digest::Digest;

/// Statuses of registries that lack a blob, or cannot or will not tell.
const UNABLE_TO_TELL: [StatusCode; 6] = [
    StatusCode::BAD_REQUEST,
    StatusCode::FORBIDDEN,
    StatusCode::NOT_FOUND,
    StatusCode::METHOD_NOT_ALLOWED,
    StatusCode::GONE,
    StatusCode::NOT_IMPLEMENTED,
];
/// Statuses of registries that do not support mounts, or refuse this one.
const UNABLE_TO_MOUNT: [StatusCode; 6] = [
    StatusCode::BAD_REQUEST,
    StatusCode::UNAUTHORIZED,
    StatusCode::FORBIDDEN,
    StatusCode::NOT_FOUND,
    StatusCode::METHOD_NOT_ALLOWED,
    StatusCode::NOT_IMPLEMENTED,
];
/// Statuses of registries that do not know the upload to be cancelled, or cannot cancel any.
const UNABLE_TO_CANCEL: [StatusCode; 4] = [
    StatusCode::BAD_REQUEST,
    StatusCode::NOT_FOUND,
    StatusCode::METHOD_NOT_ALLOWED,
    StatusCode::NOT_IMPLEMENTED,
];

impl Repository {
    /// Whether the registry has a blob of this size. A registry that cannot tell is assumed to lack
    /// it: that costs an upload, but cannot make an image wrong.
    pub fn exists(&self, digest: Digest, size: u64) -> Result<bool, RegistryError> {
        self.exists_within(&mut Attempts::default(), digest, size)
    }

    /// Like `exists`, but as part of something that already has attempts.
    pub fn exists_within(
        &self,
        attempts: &mut Attempts,
        digest: Digest,
        size: u64,
    ) -> Result<bool, RegistryError> {
        Ok(self.size_of(digest, attempts)? == Some(size))
    }

    /// The size of a blob, if the registry has it.
    pub(super) fn size_of(
        &self,
        digest: Digest,
        attempts: &mut Attempts,
    ) -> Result<Option<u64>, RegistryError> {
        let request = empty(Request::head(self.blob(digest)))?;
        let answer = self.client.call_within(attempts, request, &UNABLE_TO_TELL)?;
        let same_digest =
            header(&answer, CONTENT_DIGEST).is_none_or(|found| found == digest.to_string());
        let size = header(&answer, CONTENT_LENGTH).and_then(|size| size.parse().ok());
        Ok(size.filter(|_| answer.status() == StatusCode::OK && same_digest))
    }

    /// Makes a blob from another repository of this registry available in this one. Returns `false`
    /// if the registry refuses.
    pub fn mount(&self, digest: Digest, from: &str) -> Result<bool, RegistryError> {
        let digest = digest.to_string();
        let uploads = with_query(&self.uploads(), &[("mount", &digest), ("from", from)]);
        let answer = self.client.call(empty(Request::post(uploads))?, &UNABLE_TO_MOUNT)?;
        // The registry may have begun an upload instead, which is not going to be finished.
        if answer.status() == StatusCode::ACCEPTED
            && let Some(location) = location(answer.headers())
        {
            let _ = self.client.call(empty(Request::delete(location))?, &UNABLE_TO_CANCEL);
        }
        Ok(answer.status() == StatusCode::CREATED)
    }

    /// Reads a blob of known size and digest into memory.
    pub fn read(&self, digest: Digest, size: u64, limit: u64) -> Result<Vec<u8>, RegistryError> {
        let what = || format!("reading the blob {digest}");
        if size > limit {
            return Err(RegistryError::TooLarge { what: what(), limit });
        }
        let mut answer = self.client.call(empty(Request::get(self.blob(digest)))?, &[])?;
        let blob = read_bounded(&mut answer, limit, what)?;
        let found = Digest::of(&blob);
        if found != digest {
            return Err(RegistryError::Digest { what: what(), expected: digest, found });
        }
        Ok(blob)
    }

    pub(super) fn blob(&self, digest: Digest) -> String {
        format!("/v2/{}/blobs/{digest}", self.name)
    }
}
