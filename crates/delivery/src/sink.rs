//! The interface of everything that an image can be written to.

use std::collections::HashSet;

use image::{Digester, Image};

use crate::{Error, Observer, Transfer};

/// A destination for an image: [`DockerArchive`](crate::DockerArchive),
/// [`OciArchive`](crate::OciArchive) or [`OciLayout`](crate::OciLayout).
///
/// It asks the digester for digests first, and only reads the layers it needs. Only this project
/// can implement it.
pub trait Sink {
    /// Writes the digester's image, and reports progress to the observer.
    ///
    /// # Errors
    ///
    /// If the image cannot be read or digested, or the output cannot be written. An archive is
    /// incomplete then; a layout has the same content as before.
    fn write(
        &mut self,
        digester: &Digester<'_>,
        observer: &dyn Observer,
    ) -> Result<Transfer, Error>;
}

/// An architecture that two of these images share, if there is one.
pub(crate) fn shared_architecture<'a>(images: impl Iterator<Item = &'a Image>) -> Option<String> {
    let mut seen = HashSet::new();
    let mut architectures = images.map(|image| image.platform().architecture);
    architectures.find(|architecture| !seen.insert(architecture.clone()))
}

/// Fails if an index of these images would have two for the same platform.
pub(crate) fn check_platforms(digesters: &[Digester<'_>]) -> Result<(), Error> {
    match shared_architecture(digesters.iter().map(Digester::image)) {
        Some(architecture) => Err(Error::SamePlatform(architecture)),
        None => Ok(()),
    }
}
