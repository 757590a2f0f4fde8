//! Blobs: whether they are there, and reading them.

use http::header::CONTENT_LENGTH;
use http::{Request, StatusCode};

use super::{CONTENT_DIGEST, Repository, empty, header};
use crate::registry::client::location;
use crate::registry::query::with_query;
use crate::registry::session::read_bounded;
use crate::registry::{Attempts, RegistryError};
use formats::digest::Digest;

/// What registries answer that have no such blob, or cannot or would not tell.
const UNABLE_TO_TELL: [StatusCode; 6] = [
    StatusCode::BAD_REQUEST,
    StatusCode::FORBIDDEN,
    StatusCode::NOT_FOUND,
    StatusCode::METHOD_NOT_ALLOWED,
    StatusCode::GONE,
    StatusCode::NOT_IMPLEMENTED,
];
/// What registries answer that do not mount, or not this blob.
const UNABLE_TO_MOUNT: [StatusCode; 6] = [
    StatusCode::BAD_REQUEST,
    StatusCode::UNAUTHORIZED,
    StatusCode::FORBIDDEN,
    StatusCode::NOT_FOUND,
    StatusCode::METHOD_NOT_ALLOWED,
    StatusCode::NOT_IMPLEMENTED,
];
/// What registries answer that do not know the upload that is to be ended, or cannot end any.
const UNABLE_TO_CANCEL: [StatusCode; 4] = [
    StatusCode::BAD_REQUEST,
    StatusCode::NOT_FOUND,
    StatusCode::METHOD_NOT_ALLOWED,
    StatusCode::NOT_IMPLEMENTED,
];

impl Repository {
    /// Whether a blob is there, and of that size. Registries that cannot tell are taken to have
    /// nothing: that costs an upload, and no image is wrong for it.
    pub fn exists(&self, digest: Digest, size: u64) -> Result<bool, RegistryError> {
        self.exists_within(&mut Attempts::default(), digest, size)
    }

    /// The same with the attempts of something that this is part of.
    pub fn exists_within(
        &self,
        attempts: &mut Attempts,
        digest: Digest,
        size: u64,
    ) -> Result<bool, RegistryError> {
        Ok(self.size_of(digest, attempts)? == Some(size))
    }

    /// The size of a blob, if it is there.
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

    /// Makes a blob of another repository of this registry one of this repository too; `false` if
    /// the registry would not.
    pub fn mount(&self, digest: Digest, from: &str) -> Result<bool, RegistryError> {
        let digest = digest.to_string();
        let uploads = with_query(&self.uploads(), &[("mount", &digest), ("from", from)]);
        let answer = self.client.call(empty(Request::post(uploads))?, &UNABLE_TO_MOUNT)?;
        // It may have begun an upload instead, which will not be finished.
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
