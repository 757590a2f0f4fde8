//! The interface for writing archives.

use crate::error::OutputError;
use image::Content;

/// A destination for archives: an [`Output`](super::Output). Only this project can implement it.
pub trait Writer: std::fmt::Debug {
    /// The number of bytes accepted so far.
    fn position(&self) -> u64;

    /// Accepts bytes, which may be gathered before they are written.
    fn put(&mut self, bytes: &[u8]) -> Result<(), OutputError>;

    /// Writes the rest of a file, copied by the kernel if possible.
    #[doc(hidden)]
    fn put_file(&mut self, content: &mut Content) -> Result<(), OutputError>;

    /// Writes the rest of a file and passes each piece of it to `see`.
    #[doc(hidden)]
    fn put_file_through(
        &mut self,
        content: &mut Content,
        see: &mut dyn FnMut(&[u8]),
    ) -> Result<(), OutputError>;

    /// Writes what was gathered, so that the reader has everything accepted so far.
    fn flush(&mut self) -> Result<(), OutputError>;

    /// Writes what was gathered, and the end mark if the format has one.
    fn finish(&mut self) -> Result<(), OutputError>;
}
