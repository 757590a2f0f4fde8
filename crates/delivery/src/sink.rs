//! What everything that an image is written to has in common.

use image::Digester;

use crate::{Error, Observer, Transfer};

/// Where an image is written to: [`DockerArchive`](crate::DockerArchive),
/// [`OciArchive`](crate::OciArchive) or [`OciLayout`](crate::OciLayout).
///
/// It asks the digester for digests first, and reads only those layers that it needs. Only this
/// project can implement it.
pub trait Sink {
    /// Writes the digester's image, and tells the observer how it goes.
    ///
    /// # Errors
    ///
    /// If the image cannot be read or digested, or the output cannot be written. An archive is
    /// incomplete then; a layout has what it had before.
    fn write(
        &mut self,
        digester: &Digester<'_>,
        observer: &dyn Observer,
    ) -> Result<Transfer, Error>;
}
