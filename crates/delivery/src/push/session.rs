//! The state of a blob's upload, kept from attempt to attempt.

use std::io::{self, Read};

use oci::registry::{Attempts, RegistryError, Repository, Upload};

/// How many bytes are sent at a time when a broken upload is resumed.
pub(super) const PIECE: u64 = 1 << 20;

/// The upload of a blob, which may break and be resumed or started again.
#[derive(Debug, Default)]
pub(super) struct Session {
    /// The attempts of all its requests; renewed whenever it makes progress.
    pub(super) attempts: Attempts,
    pub(super) upload: Option<Upload>,
    /// The number of bytes sent in this upload; the registry cannot have more.
    pub(super) sent: u64,
    /// Where the upload was resumed; 0 if it was not.
    offset: u64,
    /// How far any upload of the blob got. Getting there again is not progress.
    furthest: u64,
}

impl Session {
    pub(super) fn begin(&mut self, repository: &Repository) -> Result<Upload, RegistryError> {
        self.forget();
        let upload = repository.begin(&mut self.attempts)?;
        self.upload = Some(upload.clone());
        Ok(upload)
    }

    /// Where to resume a broken upload; `None` if it has to be started again. That is also so if
    /// the registry claims to have more than was sent.
    pub(super) fn resume(
        &mut self,
        repository: &Repository,
    ) -> Result<Option<(Upload, u64)>, RegistryError> {
        let Some(upload) = self.upload.take() else { return Ok(None) };
        let resumed = repository.resume(&upload, &mut self.attempts)?;
        Ok(resumed.filter(|(_, offset)| *offset <= self.sent))
    }

    /// Notes that the registry has this many bytes of the upload.
    pub(super) fn reached(&mut self, upload: &Upload, offset: u64) {
        self.upload = Some(upload.clone());
        self.offset = offset;
        if offset >= self.furthest + PIECE {
            self.furthest = offset;
            self.attempts.renew();
        }
    }

    /// Waits for another attempt after an error, if one may help. A resumed upload that the
    /// registry refuses is started again.
    pub(super) fn after(&mut self, error: RegistryError) -> Result<(), RegistryError> {
        let refused = matches!(error, RegistryError::Refused { .. }) && self.offset > 0;
        let lost = self.upload.is_some() && error.is_lost_upload();
        let passes = error.is_passing();
        if !passes && (refused || lost) {
            self.forget();
        }
        self.attempts.again(error, passes || refused || lost)
    }

    fn forget(&mut self) {
        (self.upload, self.sent, self.offset) = (None, 0, 0);
    }
}

/// Counts the bytes that are read, as these are sent.
pub(super) struct Counted<'a, R> {
    pub(super) body: R,
    pub(super) bytes: &'a mut u64,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.body.read(buffer)?;
        *self.bytes += bytes as u64;
        Ok(bytes)
    }
}
