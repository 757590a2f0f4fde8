//! What a delivery came to.

/// How much of an image was moved, and how much of it the destination had already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transfer {
    /// Layers of the image.
    pub layers: usize,
    /// Those that were moved.
    pub layers_sent: usize,
    /// Bytes of the image's layers.
    pub bytes: u64,
    /// Bytes of those that were moved.
    pub bytes_sent: u64,
}

impl Transfer {
    /// Nothing was moved of an image with this many layers and bytes in them.
    pub fn none(layers: usize, bytes: u64) -> Self {
        Self { layers, bytes, ..Self::default() }
    }

    /// All layers of an image were moved, this many with this many bytes.
    pub fn whole(layers: usize, bytes: u64) -> Self {
        Self { layers, layers_sent: layers, bytes, bytes_sent: bytes }
    }
}
