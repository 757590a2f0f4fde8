//! How much a delivery transferred.

/// How much of an image was sent. The destination already had the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transfer {
    /// The number of layers of the image.
    pub layers: usize,
    /// The number of layers that were sent.
    pub layers_sent: usize,
    /// The size of all layers in bytes, compressed if the destination has them compressed.
    pub bytes: u64,
    /// The number of bytes that were sent for layers.
    pub bytes_sent: u64,
}

impl Transfer {
    /// Nothing was sent of an image with this many layers and bytes.
    #[doc(hidden)]
    pub fn none(layers: usize, bytes: u64) -> Self {
        Self { layers, bytes, ..Self::default() }
    }

    /// Adds what was sent of another image.
    pub(crate) fn add(&mut self, other: Self) {
        self.layers += other.layers;
        self.layers_sent += other.layers_sent;
        self.bytes += other.bytes;
        self.bytes_sent += other.bytes_sent;
    }

    /// All layers of an image were sent, with this many bytes.
    #[doc(hidden)]
    pub fn whole(layers: usize, bytes: u64) -> Self {
        Self { layers, layers_sent: layers, bytes, bytes_sent: bytes }
    }
}
