//! Finds the images of a store by the names that users give.

use containers_storage::{Error, Image, Storage};
use formats::digest::Digest;
use oci::Reference;

/// An image, and the name by which it was found, if it was not found by its ID.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) id: Digest,
    pub(super) name: Option<String>,
}

/// The minimum number of digits of an ID.
const MIN_DIGITS: usize = 6;

/// Finds an image by a name or by the start of its ID.
pub(super) fn find(images: &[Image], wanted: &str, storage: &Storage) -> anyhow::Result<Found> {
    let full = Reference::of_image(wanted).map(|name| name.local()).ok();
    for name in [Some(wanted.to_owned()), full].into_iter().flatten() {
        if let Some(image) = images.iter().find(|image| image.names.contains(&name)) {
            return Ok(Found { id: image.id, name: Some(name) });
        }
    }
    let digits = wanted.strip_prefix("sha256:").unwrap_or(wanted);
    let mut begin = images.iter().filter(|image| image.id.hex().starts_with(digits));
    match (begin.next(), begin.next()) {
        (Some(image), None) if digits.len() >= MIN_DIGITS => Ok(Found { id: image.id, name: None }),
        (Some(_), Some(_)) if digits.len() >= MIN_DIGITS => {
            anyhow::bail!("the IDs of several images begin with {digits}; give more digits")
        }
        _ => {
            let storage = storage.root().to_owned();
            Err(Error::ImageMissing { id: wanted.to_owned(), storage }.into())
        }
    }
}
