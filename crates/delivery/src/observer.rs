//! Progress of deliveries.

use std::fmt::Debug;
#[cfg(feature = "push")]
use std::io::{self, Read};

use image::{Image, Layer};

/// Is told how a delivery goes on, for instance to show it.
///
/// All methods do nothing by default, and `&()` is an observer that ignores everything. A delivery
/// calls those that say something about it: only in an archive do layers have their turn, and only a
/// push makes blobs. Several threads may call at a time. A layer's `index` is its place in
/// [`Image::layers`], counted from 0.
pub trait Observer: Debug + Sync {
    /// The delivery of these images begins. It may be one of several, as in a push to several
    /// repositories.
    fn started(&self, _images: &[Image]) {}

    /// A step begins. `bytes` is the number of bytes that it will move, or `None` if that is not
    /// known.
    fn step(&self, _step: Step, _bytes: Option<u64>) {}

    /// It is a layer's turn to be written.
    fn layer_started(&self, _index: usize, _layer: &Layer) {}

    /// All layers that will be moved have this many bytes, as far as their sizes are known by now;
    /// if `is_final`, all of them are.
    fn size_known(&self, _bytes: u64, _is_final: bool) {}

    /// The destination lacks layers, which have this many bytes before they are compressed. Blobs
    /// will be made of them and sent.
    fn layers_missing(&self, _bytes: u64) {}

    /// This many more bytes of the missing layers have become part of blobs. A blob whose upload
    /// broke is made again.
    fn bytes_made(&self, _bytes: u64) {}

    /// The destination already has the layer.
    fn layer_found(&self, _index: usize) {}

    /// The destination has the layer now. `sent` is the number of bytes that were sent for it.
    fn layer_done(&self, _index: usize, _layer: &Layer, _sent: u64) {}

    /// The step will move this many bytes more than was said before.
    fn bytes_expected(&self, _bytes: u64) {}

    /// This many more bytes have been moved.
    fn bytes(&self, _bytes: u64) {}

    /// The layers are delivered; the configuration and the manifest follow.
    fn documents_started(&self) {}

    /// The delivery is complete.
    fn finished(&self) {}

    /// Explains a choice, such as why an image is sent instead of linked: one sentence, without a
    /// full stop.
    fn note(&self, _note: &str) {}

    /// Something is odd, though not an error: one sentence, without a full stop.
    fn warn(&self, _warning: &str) {}
}

impl Observer for () {}

/// What a delivery is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It finds the digests of the image's layers.
    Reading,
    /// It sends what the destination lacks.
    Sending,
    /// It fetches an image from a registry.
    Fetching,
    /// It waits for what a container engine or a registry answers; this is its name.
    Asking(&'static str),
    /// The container engine of this name unpacks what was sent.
    Unpacking(&'static str),
    /// The container engine of this name fetches what it lacks.
    Pulling(&'static str),
    /// Layers are put where a container engine keeps them unpacked.
    Linking,
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
