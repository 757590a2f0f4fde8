//! Blobs that are read piece by piece, resuming where the connection broke.

use std::io::{self, Read};

use http::header::{CONTENT_LENGTH, CONTENT_RANGE, RANGE};
use http::{Request, StatusCode};

use super::{Repository, empty, header};
use crate::registry::transport::{self, Answer, Failure, Streamed};
use crate::registry::{Attempts, RegistryError};
use formats::digest::Digest;

/// After this many bytes, a download has made progress, and gets all its attempts back.
const PROGRESS: u64 = 1 << 20;

/// A blob as it is received: exactly its number of bytes, or an error. The reader has to check the
/// digest.
pub struct Download<'a> {
    repository: &'a Repository,
    digest: Digest,
    size: u64,
    /// The number of bytes read so far.
    position: u64,
    /// The position at which the attempts were last renewed.
    renewed: u64,
    attempts: Attempts,
    body: Option<Box<dyn Read + Send>>,
}

impl std::fmt::Debug for Download<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { digest, size, position, .. } = self;
        write!(formatter, "Download({digest}, {position} of {size} bytes)")
    }
}

impl Repository {
    /// Starts reading a blob of known digest and size in bytes. [`io::Error`]s of the reader wrap a
    /// [`RegistryError`].
    pub fn download(&self, digest: Digest, size: u64) -> Result<Download<'_>, RegistryError> {
        let attempts = Attempts::default();
        let mut download = Download {
            repository: self,
            digest,
            size,
            position: 0,
            renewed: 0,
            attempts,
            body: None,
        };
        download.open_again()?;
        Ok(download)
    }
}

impl Download<'_> {
    fn what(&self) -> String {
        format!("reading the blob {}", self.digest)
    }

    /// Requests the blob, or the rest of it.
    fn open(&mut self) -> Result<(), RegistryError> {
        let mut request = Request::get(self.repository.blob(self.digest)).extension(Streamed);
        if self.position > 0 {
            request = request.header(RANGE, format!("bytes={}-", self.position));
        }
        let answer =
            self.repository.client.call_within(&mut self.attempts, empty(request)?, &[])?;
        let skipped = self.skipped(&answer)?;
        let mut body = transport::reader(answer);
        io::copy(&mut (&mut body).take(skipped), &mut io::sink()).map_err(|e| self.broken(e))?;
        self.body = Some(body);
        Ok(())
    }

    /// The number of bytes at the start of an answer that were already read. Fails if the length is
    /// wrong.
    fn skipped(&self, answer: &Answer) -> Result<u64, RegistryError> {
        let unusable = |problem| RegistryError::Answer { what: self.what(), problem };
        let is_part = answer.status() == StatusCode::PARTIAL_CONTENT;
        let start = if is_part { self.position } else { 0 };
        if is_part {
            let range = header(answer, CONTENT_RANGE).unwrap_or_default();
            if !range.starts_with(&format!("bytes {start}-")) {
                return Err(unusable(
                    "it has another part of the blob than the requested one".into(),
                ));
            }
        }
        let length = header(answer, CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
        match length {
            Some(length) if length != self.size - start => Err(unusable(format!(
                "it has {} bytes, but the blob has {}",
                start.saturating_add(length),
                self.size
            ))),
            _ => Ok(self.position - start),
        }
    }

    fn broken(&self, error: io::Error) -> RegistryError {
        RegistryError::Transport { what: self.what(), failure: Failure::of_body(error) }
    }

    /// Waits for the next attempt, if another one may help.
    fn again(&mut self, error: RegistryError) -> Result<(), RegistryError> {
        let is_passing = error.is_passing();
        self.attempts.again(error, is_passing)
    }

    /// Requests the rest, until an answer begins.
    fn open_again(&mut self) -> Result<(), RegistryError> {
        while let Err(error) = self.open() {
            self.again(error)?;
        }
        Ok(())
    }

    /// Reads some bytes, at least one.
    fn read_some(&mut self, buffer: &mut [u8]) -> Result<usize, RegistryError> {
        loop {
            let Some(body) = &mut self.body else {
                self.open_again()?;
                continue;
            };
            let read = match body.read(buffer) {
                Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
                read => read,
            };
            match read {
                Ok(bytes) => return Ok(bytes),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.body = None;
                    let error = self.broken(error);
                    self.again(error)?;
                }
            }
        }
    }

    /// Checks that nothing follows. This also makes the connection reusable.
    fn finish(&mut self) -> Result<(), RegistryError> {
        let Some(mut body) = self.body.take() else { return Ok(()) };
        match body.read(&mut [0]) {
            Ok(1..) => Err(RegistryError::Answer {
                what: self.what(),
                problem: format!("it has more than the blob's {} bytes", self.size),
            }),
            // Everything requested has arrived.
            Ok(0) | Err(_) => Ok(()),
        }
    }
}

impl Read for Download<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.size - self.position;
        if left == 0 || buffer.is_empty() {
            if left == 0 {
                self.finish().map_err(io::Error::other)?;
            }
            return Ok(0);
        }
        let length = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let read = self.read_some(&mut buffer[..length]).map_err(io::Error::other)?;
        self.position += read as u64;
        if self.position - self.renewed >= PROGRESS {
            self.renewed = self.position;
            self.attempts.renew();
        }
        Ok(read)
    }
}
