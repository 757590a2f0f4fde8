//! What everything that an image is written to has in common.

use std::collections::HashSet;

use image::{Digester, Image};

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

/// The architecture that two of these images are for, if there is one.
pub(crate) fn shared_architecture<'a>(images: impl Iterator<Item = &'a Image>) -> Option<String> {
    let mut seen = HashSet::new();
    let mut architectures = images.map(|image| image.platform().architecture);
    architectures.find(|architecture| !seen.insert(architecture.clone()))
}

/// Fails if these do not make an index: each image is for another platform.
pub(crate) fn check_platforms(digesters: &[Digester<'_>]) -> Result<(), Error> {
    match shared_architecture(digesters.iter().map(Digester::image)) {
        Some(architecture) => Err(Error::SamePlatform(architecture)),
        None => Ok(()),
    }
}
