//! Blobs of one repository: whether they are there, and bringing them there.

use std::io::Read;
use std::sync::Arc;

use ureq::Body;
use ureq::http::Response;

use super::client::{Call, Client};
use super::text::{percent_encode, read_bounded};
use super::{Attempts, RegistryError};
use formats::digest::Digest;

/// Characters that are shown of what is told of a registry's documents.
const MAX_SHOWN: usize = 500;

/// A repository of a registry.
#[derive(Clone, Debug)]
pub struct Repository {
    pub(super) client: Arc<Client>,
    pub(super) name: String,
}

/// Whether a repository has a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It has, and of that size.
    Present,
    /// It has not, or does not say.
    Absent,
}

/// An upload that was begun.
#[derive(Clone, Debug)]
pub struct Upload {
    place: String,
}

impl Repository {
    /// A repository that a client was made for.
    pub fn new(client: &Arc<Client>, name: &str) -> Self {
        Self { client: Arc::clone(client), name: name.into() }
    }

    /// Its name in its registry.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A text with something in it that the registry said, as it may be shown.
    pub fn show(&self, text: &str) -> String {
        self.client.show(text, MAX_SHOWN)
    }

    /// Whether a blob is there. Registries that cannot tell are taken to have nothing: that costs
    /// an upload, and no image is wrong for it.
    pub fn look(&self, digest: Digest, size: u64) -> Result<Presence, RegistryError> {
        self.look_within(&mut Attempts::default(), digest, size)
    }

    /// The same with the attempts of something that this is part of.
    pub fn look_within(
        &self,
        attempts: &mut Attempts,
        digest: Digest,
        size: u64,
    ) -> Result<Presence, RegistryError> {
        let found = self.head(digest, attempts)? == Some(size);
        Ok(if found { Presence::Present } else { Presence::Absent })
    }

    /// The size of a blob, if it is there.
    fn head(&self, digest: Digest, attempts: &mut Attempts) -> Result<Option<u64>, RegistryError> {
        let place = format!("/v2/{}/blobs/{digest}", self.name);
        let call = Call { method: "HEAD", place: &place, headers: &[], body: &[] };
        let unable = [400, 403, 404, 405, 410, 501];
        let response = self.client.call_within(attempts, call, &unable)?;
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let same_digest =
            header("docker-content-digest").is_none_or(|found| found == digest.to_string());
        let size = header("content-length").and_then(|size| size.parse().ok());
        Ok(size.filter(|_| response.status() == 200 && same_digest))
    }

    /// Makes a blob of another repository of this registry one of this repository too; `Absent`
    /// where the registry would not.
    pub fn mount(&self, digest: Digest, from: &str) -> Result<Presence, RegistryError> {
        let digest = percent_encode(&digest.to_string());
        let from = percent_encode(from);
        let place = format!("/v2/{}/blobs/uploads/?mount={digest}&from={from}", self.name);
        let call = Call { method: "POST", place: &place, headers: &[], body: &[] };
        let response = self.client.call(call, &[400, 401, 403, 404, 405, 501])?;
        match response.status().as_u16() {
            201 => Ok(Presence::Present),
            202 => {
                // It began an upload instead, which nobody will end.
                if let Ok(upload) = begun(&response, "the answer to a mount") {
                    let call =
                        Call { method: "DELETE", place: &upload.place, headers: &[], body: &[] };
                    let _ = self.client.call(call, &[400, 404, 405, 501]);
                }
                Ok(Presence::Absent)
            }
            _ => Ok(Presence::Absent),
        }
    }

    /// Reads a blob of known size and digest into memory.
    pub fn read(&self, digest: Digest, size: u64, limit: u64) -> Result<Vec<u8>, RegistryError> {
        let place = format!("/v2/{}/blobs/{digest}", self.name);
        let what = || format!("reading the blob {digest}");
        if size > limit {
            return Err(RegistryError::TooLarge { what: what(), limit });
        }
        let call = Call { method: "GET", place: &place, headers: &[], body: &[] };
        let mut response = self.client.call(call, &[])?;
        let blob = read_bounded(response.body_mut(), limit, what)?;
        let found = Digest::of(&blob);
        if found != digest {
            return Err(RegistryError::Digest { what: what(), expected: digest, found });
        }
        Ok(blob)
    }

    /// Begins an upload.
    pub fn begin(&self, attempts: &mut Attempts) -> Result<Upload, RegistryError> {
        let place = format!("/v2/{}/blobs/uploads/", self.name);
        let call = Call { method: "POST", place: &place, headers: &[], body: &[] };
        let response = self.client.call_within(attempts, call, &[])?;
        begun(&response, &format!("beginning an upload to `{}`", self.name))
    }

    /// Uploads a small blob, anew whenever that fails in a way that passes.
    pub fn upload(&self, blob: &[u8], digest: Digest) -> Result<(), RegistryError> {
        let mut attempts = Attempts::default();
        loop {
            let upload = self.begin(&mut attempts)?;
            match self.close(&upload, &[blob], digest, &mut attempts) {
                Err(error) => {
                    let may_help = error.is_lost_upload() || error.is_passing();
                    attempts.again(error, may_help)?;
                }
                done => return done,
            }
        }
    }

    /// Sends bytes, of which the number need not be known, and returns where the upload goes on.
    /// After an error [`Self::resume`] tells how many of them arrived.
    pub fn send(
        &self,
        upload: &Upload,
        body: &mut dyn Read,
        attempts: &mut Attempts,
    ) -> Result<Upload, RegistryError> {
        let headers = [("content-type", "application/octet-stream")];
        let response = self.client.stream("PATCH", &upload.place, &headers, body, attempts)?;
        begun(&response, &format!("an upload to `{}`", self.name))
    }

    /// Sends the bytes from `offset` on, which the upload must have reached, in one attempt.
    pub fn append(
        &self,
        upload: &Upload,
        offset: u64,
        bytes: &[u8],
        attempts: &mut Attempts,
    ) -> Result<Upload, RegistryError> {
        let range = format!("{offset}-{}", (offset + bytes.len() as u64).saturating_sub(1));
        let headers =
            [("content-type", "application/octet-stream"), ("content-range", range.as_str())];
        let call =
            Call { method: "PATCH", place: &upload.place, headers: &headers, body: &[bytes] };
        let response = self.client.call_once(&call, &[], attempts)?;
        begun(&response, &format!("an upload to `{}`", self.name))
    }

    /// How far an upload came that broke, and where it goes on; nothing where the registry does
    /// not say, or has forgotten it.
    pub fn resume(
        &self,
        upload: &Upload,
        attempts: &mut Attempts,
    ) -> Result<Option<(Upload, u64)>, RegistryError> {
        let call = Call { method: "GET", place: &upload.place, headers: &[], body: &[] };
        let unable = [400, 403, 404, 405, 410, 416, 501];
        let response = self.client.call_within(attempts, call, &unable)?;
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        // The number of the last byte, so that `0-0` may mean none and is as good as that.
        let last = header("range").and_then(|range| {
            let range = range.trim_start_matches("bytes=");
            range.strip_prefix("0-")?.parse::<u64>().ok()
        });
        let place = match header("location") {
            None => upload.place.clone(),
            Some(place) if is_usable(place) => place.to_owned(),
            Some(_) => return Ok(None),
        };
        let last = last.filter(|last| *last > 0 && response.status() == 204);
        Ok(last.map(|last| (Upload { place }, last.saturating_add(1))))
    }

    /// Ends an upload with its last bytes, possibly none, of which the registry checks the digest.
    /// If there are any, there is only one attempt, as part of them may have arrived.
    pub fn close(
        &self,
        upload: &Upload,
        rest: &[&[u8]],
        digest: Digest,
        attempts: &mut Attempts,
    ) -> Result<(), RegistryError> {
        let separator = if upload.place.contains('?') { '&' } else { '?' };
        let encoded = percent_encode(&digest.to_string());
        let place = format!("{}{separator}digest={encoded}", upload.place);
        let headers = [("content-type", "application/octet-stream")];
        let call = Call { method: "PUT", place: &place, headers: &headers, body: rest };
        let response = match rest {
            [] => self.client.call_within(attempts, call, &[]),
            _ => self.client.call_once(&call, &[], attempts),
        };
        let response = match response {
            // If the answer to an earlier attempt was lost, the upload is gone and the blob there.
            Err(error) if error.is_lost_upload() && self.head(digest, attempts)?.is_some() => {
                return Ok(());
            }
            response => response?,
        };
        check_digest(&response, digest, || format!("uploading the blob {digest}"))
    }
}

/// The upload that an answer says was begun.
fn begun(response: &Response<Body>, what: &str) -> Result<Upload, RegistryError> {
    let location = response.headers().get("location").and_then(|value| value.to_str().ok());
    match location.filter(|place| is_usable(place)) {
        Some(place) if response.status() == 202 => Ok(Upload { place: place.into() }),
        _ => Err(RegistryError::Answer {
            what: what.into(),
            problem: format!("status {} without a usable location", response.status().as_u16()),
        }),
    }
}

fn is_usable(place: &str) -> bool {
    place.starts_with('/') || place.starts_with("https://") || place.starts_with("http://")
}

/// Checks the digest that a registry says it has stored, if it says one.
pub(super) fn check_digest(
    response: &Response<Body>,
    expected: Digest,
    what: impl Fn() -> String,
) -> Result<(), RegistryError> {
    let Some(value) = response.headers().get("docker-content-digest") else { return Ok(()) };
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
