//! Uploads of blobs, in one request or several.

use std::io::Read;

use http::header::{CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE};
use http::{HeaderValue, Request, StatusCode, Uri};

use super::{Repository, check_digest, empty, header};
use crate::registry::client::location;
use crate::registry::query::with_query;
use crate::registry::transport::Answer;
use crate::registry::{Attempts, RegistryError};
use formats::digest::Digest;

const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");
/// Statuses of registries that do not know an upload, or cannot tell how far it got.
const UNABLE_TO_TELL: [StatusCode; 7] = [
    StatusCode::BAD_REQUEST,
    StatusCode::FORBIDDEN,
    StatusCode::NOT_FOUND,
    StatusCode::METHOD_NOT_ALLOWED,
    StatusCode::GONE,
    StatusCode::RANGE_NOT_SATISFIABLE,
    StatusCode::NOT_IMPLEMENTED,
];

/// An upload in progress.
#[derive(Clone, Debug)]
pub struct Upload {
    location: Uri,
}

impl Repository {
    /// Begins an upload.
    pub fn begin(&self, attempts: &mut Attempts) -> Result<Upload, RegistryError> {
        let request = empty(Request::post(self.uploads()))?;
        let answer = self.client.call_within(attempts, request, &[])?;
        begun(&answer, || format!("beginning an upload to `{}`", self.name))
    }

    /// Uploads a small blob, starting over whenever that fails in a way that may be temporary.
    pub fn upload(&self, blob: &[u8], digest: Digest) -> Result<(), RegistryError> {
        let may_help = |error: &RegistryError| error.is_lost_upload() || error.is_passing();
        Attempts::default().repeat_if(may_help, |attempts| {
            let upload = self.begin(attempts)?;
            self.close(&upload, &[blob], digest, attempts)
        })
    }

    /// Sends bytes, whose number need not be known, and returns where to continue the upload. After
    /// an error, [`Self::resume`] tells how many of them arrived.
    pub fn send(
        &self,
        upload: &Upload,
        body: &mut dyn Read,
        attempts: &mut Attempts,
    ) -> Result<Upload, RegistryError> {
        let request = Request::patch(&upload.location).header(CONTENT_TYPE, BYTES).body(body)?;
        self.goes_on(&self.client.stream(attempts, request)?)
    }

    /// Sends bytes in a single attempt. The upload must have reached `offset`, where they start.
    pub fn append(
        &self,
        upload: &Upload,
        offset: u64,
        bytes: &[u8],
        attempts: &mut Attempts,
    ) -> Result<Upload, RegistryError> {
        let range = format!("{offset}-{}", (offset + bytes.len() as u64).saturating_sub(1));
        let body = [bytes];
        let request = Request::patch(&upload.location).header(CONTENT_TYPE, BYTES);
        let request = request.header(CONTENT_RANGE, range).body(&body[..])?;
        self.goes_on(&self.client.call_once(attempts, request)?)
    }

    /// How far an interrupted upload got, and where to continue it. `None` if the registry does not
    /// say, or has forgotten the upload.
    pub fn resume(
        &self,
        upload: &Upload,
        attempts: &mut Attempts,
    ) -> Result<Option<(Upload, u64)>, RegistryError> {
        let request = empty(Request::get(&upload.location))?;
        let answer = self.client.call_within(attempts, request, &UNABLE_TO_TELL)?;
        let reached = header(&answer, RANGE).and_then(reached);
        let reached = reached.filter(|_| answer.status() == StatusCode::NO_CONTENT);
        let location = if answer.headers().contains_key(LOCATION) {
            location(answer.headers())
        } else {
            Some(upload.location.clone())
        };
        Ok(location.zip(reached).map(|(location, reached)| (Upload { location }, reached)))
    }

    /// Finishes an upload with its last bytes, if any. The registry checks the digest. With bytes
    /// there is only one attempt, as part of them may have arrived.
    pub fn close(
        &self,
        upload: &Upload,
        rest: &[&[u8]],
        digest: Digest,
        attempts: &mut Attempts,
    ) -> Result<(), RegistryError> {
        let location = upload.location.to_string();
        let location = with_query(&location, &[("digest", &digest.to_string())]);
        let request = Request::put(location).header(CONTENT_TYPE, BYTES).body(rest)?;
        let answer = match rest {
            [] => self.client.call_within(attempts, request, &[]),
            _ => self.client.call_once(attempts, request),
        };
        let answer = match answer {
            // If the answer to an earlier attempt was lost, the upload is gone and the blob exists.
            Err(error) if error.is_lost_upload() && self.size_of(digest, attempts)?.is_some() => {
                return Ok(());
            }
            answer => answer?,
        };
        check_digest(&answer, digest, || format!("uploading the blob {digest}"))
    }

    pub(super) fn uploads(&self) -> String {
        format!("/v2/{}/blobs/uploads/", self.name)
    }

    /// The upload after some of its bytes were sent.
    fn goes_on(&self, answer: &Answer) -> Result<Upload, RegistryError> {
        begun(answer, || format!("an upload to `{}`", self.name))
    }
}

/// The upload that an answer says was started or can continue.
fn begun(answer: &Answer, what: impl Fn() -> String) -> Result<Upload, RegistryError> {
    match location(answer.headers()) {
        Some(location) if answer.status() == StatusCode::ACCEPTED => Ok(Upload { location }),
        _ => Err(RegistryError::Answer {
            what: what(),
            problem: format!("status {} without a usable location", answer.status().as_u16()),
        }),
    }
}

/// The number of bytes in a range such as `0-99`. It ends with the position of the last byte, so
/// `0-0` may mean that nothing arrived, and is treated that way.
fn reached(range: &str) -> Option<u64> {
    let last = range.trim_start_matches("bytes=").strip_prefix("0-")?.parse::<u64>().ok()?;
    (last > 0).then_some(last.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_say_how_much_is_there() {
        for (range, expected) in [
            ("0-99", Some(100)),
            ("bytes=0-1048575", Some(1 << 20)),
            ("0-18446744073709551615", Some(u64::MAX)),
            ("0-0", None),
            ("1-9", None),
            ("0-", None),
            ("", None),
        ] {
            assert_eq!(reached(range), expected, "{range}");
        }
    }
}
