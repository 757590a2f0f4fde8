//! An output whose progress is observed.

use super::Writer;
use crate::error::OutputError;
use crate::observer::Observer;
use image::Content;

/// Reports the bytes that another output accepts as transferred.
#[derive(Debug)]
pub struct ObservedOutput<'a> {
    output: &'a mut dyn Writer,
    observer: &'a dyn Observer,
}

impl<'a> ObservedOutput<'a> {
    /// Reports to `observer` what is written to `output`.
    pub fn new(output: &'a mut dyn Writer, observer: &'a dyn Observer) -> Self {
        Self { output, observer }
    }

    fn report<T>(&mut self, write: impl FnOnce(&mut dyn Writer) -> T) -> T {
        let before = self.output.position();
        let done = write(self.output);
        self.observer.bytes(self.output.position() - before);
        done
    }
}

impl Writer for ObservedOutput<'_> {
    fn position(&self) -> u64 {
        self.output.position()
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        self.report(|output| output.put(bytes))
    }

    fn put_file(&mut self, content: &mut Content) -> Result<(), OutputError> {
        self.report(|output| output.put_file(content))
    }

    fn put_file_through(
        &mut self,
        content: &mut Content,
        see: &mut dyn FnMut(&[u8]),
    ) -> Result<(), OutputError> {
        self.report(|output| output.put_file_through(content, see))
    }

    fn flush(&mut self) -> Result<(), OutputError> {
        self.output.flush()
    }

    fn finish(&mut self) -> Result<(), OutputError> {
        self.report(|output| output.finish())
    }
}
