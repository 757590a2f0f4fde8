//! What a delivery tells whoever watches it.

use std::fmt::Debug;
#[cfg(feature = "push")]
use std::io::{self, Read};

use image::{Image, Layer};

/// Somebody who is told how a delivery goes on, from whichever thread it happens on. What is not
/// of interest need not be implemented; `()` wants to hear nothing.
pub trait Observer: Debug + Sync {
    /// The delivery of these images begins.
    fn started(&self, _images: &[Image]) {}

    /// A step begins in which this many bytes are to be moved, if that is known.
    fn step(&self, _step: Step, _bytes: Option<u64>) {}

    /// A layer's turn has come. `known` is the size in bytes of all layers, as far as it is known.
    fn layer_started(&self, _index: usize, _layer: &Layer, _known: u64) {}

    /// The destination has the layer already.
    fn layer_found(&self, _index: usize) {}

    /// The destination has the layer now, for which this many bytes were sent.
    fn layer_done(&self, _index: usize, _layer: &Layer, _sent: u64) {}

    /// This many more bytes will be moved than was said before.
    fn bytes_expected(&self, _bytes: u64) {}

    /// This many more bytes were moved.
    fn bytes(&self, _bytes: u64) {}

    /// The layers are there, and configuration and manifest follow.
    fn documents_started(&self) {}

    /// The delivery is complete.
    fn finished(&self) {}

    /// Something is odd, and yet not an error.
    fn warn(&self, _warning: &str) {}
}

impl Observer for () {}

/// What a delivery is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Finding out what the image's layers are.
    Reading,
    /// Sending what it lacks.
    Sending,
    /// The engine unpacks what was sent.
    Unpacking,
    /// The engine fetches what it lacks.
    Pulling,
}

/// Reports what is read through it as moved.
#[cfg(feature = "push")]
pub(crate) struct Observed<'a, R> {
    pub(crate) observer: &'a dyn Observer,
    pub(crate) reader: R,
}

#[cfg(feature = "push")]
impl<R: Read> Read for Observed<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.reader.read(buffer)?;
        self.observer.bytes(bytes as u64);
        Ok(bytes)
    }
}
