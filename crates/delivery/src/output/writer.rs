//! What archives are written to.

use crate::error::OutputError;
use image::Content;

/// Takes an archive: an [`Output`](super::Output), or what changes the bytes on their way to one.
pub trait Writer: std::fmt::Debug {
    /// Bytes taken so far.
    fn position(&self) -> u64;

    /// Writes bytes.
    fn put(&mut self, bytes: &[u8]) -> Result<(), OutputError>;

    /// Writes what is left of a file, by the kernel where it can.
    fn put_file(&mut self, content: &mut Content) -> Result<(), OutputError>;

    /// Writes what is left of a file and shows each piece of it to `see`.
    fn put_file_through(
        &mut self,
        content: &mut Content,
        see: &mut dyn FnMut(&[u8]),
    ) -> Result<(), OutputError>;

    /// Writes what was gathered, so that the reader has all that was taken so far.
    fn flush(&mut self) -> Result<(), OutputError>;

    /// Writes what was gathered, and the mark of the end where there is one.
    fn finish(&mut self) -> Result<(), OutputError>;
}
