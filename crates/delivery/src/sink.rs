//! What all places have in common that images are brought to.

use image::Digester;

use crate::{Error, Observer, Transfer};

/// A place that images are brought to. It asks for digests first, and for bytes only where it
/// needs them.
pub trait Sink {
    /// Brings an image there.
    fn write(
        &mut self,
        digester: &Digester<'_>,
        observer: &dyn Observer,
    ) -> Result<Transfer, Error>;
}
