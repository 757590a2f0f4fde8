//! What archives are written to.

use crate::error::OutputError;
use image::Content;

/// What archives are written to: an [`Output`](super::Output). Only this project can implement it.
pub trait Writer: std::fmt::Debug {
    /// The number of bytes that were taken so far.
    fn position(&self) -> u64;

    /// Takes bytes, which may be gathered before they are written.
    fn put(&mut self, bytes: &[u8]) -> Result<(), OutputError>;

    /// Writes what is left of a file, by the kernel where it can.
    #[doc(hidden)]
    fn put_file(&mut self, content: &mut Content) -> Result<(), OutputError>;

    /// Writes what is left of a file and shows each piece of it to `see`.
    #[doc(hidden)]
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
