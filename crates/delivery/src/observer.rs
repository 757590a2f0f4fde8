//! Progress of deliveries.

use std::fmt::Debug;
#[cfg(feature = "push")]
use std::io::{self, Read};

use image::{Image, Layer};

/// Receives the progress of a delivery, for instance to display it.
///
/// All methods do nothing by default, and `&()` is an observer that ignores everything. A delivery
/// only calls the methods that apply to it: layers have turns only in an archive, and blobs are
/// made only for a push. Methods may be called by several threads at once. The `index` of a layer
/// is its position in [`Image::layers`], counted from 0.
pub trait Observer: Debug + Sync {
    /// The delivery of these images begins. There may be several in a row, as in a push to several
    /// repositories.
    fn started(&self, _images: &[Image]) {}

    /// A step begins. `bytes` is the number of bytes that it will transfer, or for a pull may
    /// transfer at most; `None` if unknown.
    fn step(&self, _step: Step, _bytes: Option<u64>) {}

    /// It is this layer's turn to be written.
    fn layer_started(&self, _index: usize, _layer: &Layer) {}

    /// The layers to be written have this many bytes in total, counting only the known sizes; if
    /// `is_final`, all sizes are known.
    fn size_known(&self, _bytes: u64, _is_final: bool) {}

    /// The destination lacks layers with this many bytes in total, uncompressed. They will be made
    /// into blobs and sent.
    fn layers_missing(&self, _bytes: u64) {}

    /// This many more bytes of the missing layers have been made into blobs. If an upload breaks,
    /// the blob is made again.
    fn bytes_made(&self, _bytes: u64) {}

    /// The destination already has the layer.
    fn layer_found(&self, _index: usize) {}

    /// The destination has the layer now. `sent` is the number of bytes sent for it.
    fn layer_done(&self, _index: usize, _layer: &Layer, _sent: u64) {}

    /// The step will transfer this many bytes more than announced.
    fn bytes_expected(&self, _bytes: u64) {}

    /// The container engine that pulls has requested a layer of this many bytes.
    fn bytes_requested(&self, _bytes: u64) {}

    /// This many more bytes have been transferred.
    fn bytes(&self, _bytes: u64) {}

    /// The layers are delivered; the config and the manifest follow.
    fn documents_started(&self) {}

    /// The delivery is complete.
    fn finished(&self) {}

    /// Explains a choice, such as why an image is sent instead of linked, in one sentence without a
    /// full stop.
    fn note(&self, _note: &str) {}

    /// Warns of something that is not an error, in one sentence without a full stop.
    fn warn(&self, _warning: &str) {}
}

impl Observer for () {}

/// What a delivery is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Computing the digests of the image's layers.
    Reading,
    /// Examining the files in the image's layers.
    Examining,
    /// Sending what the destination lacks.
    Sending,
    /// Fetching an image from a registry.
    Fetching,
    /// Waiting for an answer from the container engine or registry with this name.
    Asking(&'static str),
    /// Waiting for the container engine with this name to unpack what was sent.
    Unpacking(&'static str),
    /// Waiting for the container engine with this name to pull what it lacks.
    Pulling(&'static str),
    /// Placing layers in a container engine's storage.
    Linking,
}

/// Reports the bytes that are read through it as transferred.
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
