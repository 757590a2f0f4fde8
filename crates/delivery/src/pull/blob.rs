//! Blobs, hashed while they are read.

use std::fs::File;
use std::io::{self, Read, Write};

use super::{PullError, source};
use crate::Observer;
use formats::digest::{Digest, HashWriter};
use oci::Reference;
use oci::registry::{self, Download};

/// How many bytes are copied at a time.
pub(super) const PIECE: usize = 256 << 10;

/// A blob that is hashed while it is read.
pub(super) struct Hashed<'a> {
    pub(super) blob: Download<'a>,
    pub(super) hash: HashWriter,
    pub(super) observer: &'a dyn Observer,
}

impl Read for Hashed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.blob.read(buffer)?;
        self.hash.update(&buffer[..read]);
        self.observer.bytes(read as u64);
        Ok(read)
    }
}

impl Hashed<'_> {
    /// Fails unless the bytes that were read have this digest.
    pub(super) fn check(self, expected: Digest) -> Result<(), PullError> {
        let found = self.hash.finish();
        if found == expected { Ok(()) } else { Err(PullError::WrongBlob { found }) }
    }
}

/// Fetches a single blob, by its digest and size, from a reference's repository and writes it to a
/// file.
///
/// # Errors
///
/// If the registry does not have the blob or sends other bytes, or if the file cannot be written.
pub fn write_blob(
    reference: &Reference,
    digest: Digest,
    size: u64,
    options: &registry::Options,
    mut file: &File,
    observer: &dyn Observer,
) -> Result<(), PullError> {
    let repository = source::open(reference, options)?;
    let blob = repository.download(digest, size)?;
    let mut blob = Hashed { blob, hash: HashWriter::default(), observer };
    let mut piece = vec![0; PIECE];
    loop {
        match blob.read(&mut piece).map_err(PullError::reading)? {
            0 => return blob.check(digest),
            read => file.write_all(&piece[..read]).map_err(PullError::Writing)?,
        }
    }
}
