//! Images: names of manifests and indexes.

use crate::Labels;
use crate::client::Client;
use crate::connection::{Method, unexpected};
use crate::error::{Error, if_found};
use crate::messages::{FieldMask, ImageInfo, ImageName, OneImage, TargetDescriptor, UpdateImage};
use crate::status::shown;
use oci::Descriptor;

const GET: Method =
    Method { path: "/containerd.services.images.v1.Images/Get", action: "look up the image" };
const CREATE: Method =
    Method { path: "/containerd.services.images.v1.Images/Create", action: "create the image" };
const UPDATE: Method =
    Method { path: "/containerd.services.images.v1.Images/Update", action: "update the image" };
const DELETE: Method =
    Method { path: "/containerd.services.images.v1.Images/Delete", action: "delete the image" };

/// How many times an image is created or updated while others delete and create it.
const MAX_TRIES: usize = 5;

/// What containerd has on record for an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Its manifest or index.
    pub target: Descriptor,
    /// Its labels.
    pub labels: Labels,
}

impl Client {
    /// Looks up an image; `None` if there is none with that name. Names include the registry and
    /// the tag, as in `docker.io/library/app:1`.
    pub fn image(&self, name: &str) -> Result<Option<Image>, Error> {
        let request = ImageName { name: name.to_owned() };
        let Some(found) = if_found(self.call(&GET, name, &request))? else { return Ok(None) };
        let found: OneImage = found;
        let wrong = |found: &str| unexpected((&GET, name), "the image's name and target", found);
        let found = found.image.filter(|image| image.name == name);
        let found = found.ok_or_else(|| wrong("another image or none"))?;
        let target = found.target.ok_or_else(|| wrong("no target"))?;
        let digest = target.digest.parse();
        let digest =
            digest.map_err(|_| wrong(&format!("the digest `{}`", shown(&target.digest))))?;
        let size = target.size.try_into().map_err(|_| wrong("a negative size"))?;
        let annotations = target.annotations;
        let target =
            Descriptor { annotations, ..Descriptor::new(&target.media_type, digest, size) };
        Ok(Some(Image { target, labels: found.labels }))
    }

    /// Gives a name to a manifest or index, even if it was another image's. Other labels of the
    /// name stay.
    pub fn put_image(&self, name: &str, target: &Descriptor, labels: &Labels) -> Result<(), Error> {
        let target = TargetDescriptor {
            media_type: target.media_type.clone(),
            digest: target.digest.to_string(),
            size: target.size.try_into().unwrap_or(i64::MAX),
            annotations: target.annotations.clone(),
        };
        let image =
            Some(ImageInfo { name: name.to_owned(), labels: labels.clone(), target: Some(target) });
        let mut paths = FieldMask::of_labels(labels).paths;
        paths.push("target".into());
        let create = OneImage { image: image.clone() };
        let update = UpdateImage { image, update_mask: Some(FieldMask { paths }) };
        let mut result = Ok(());
        for _ in 0..MAX_TRIES {
            result = self.call(&CREATE, name, &create).map(|OneImage { .. }| ());
            if !matches!(&result, Err(error) if error.is_already_there()) {
                break;
            }
            result = self.call(&UPDATE, name, &update).map(|OneImage { .. }| ());
            if !matches!(&result, Err(error) if error.is_not_found()) {
                break;
            }
        }
        result
    }

    /// Deletes an image. What only it referred to is garbage-collected some time later.
    ///
    /// # Errors
    ///
    /// If there is no image with that name.
    pub fn delete_image(&self, name: &str) -> Result<(), Error> {
        self.call(&DELETE, name, &ImageName { name: name.to_owned() })
    }
}
