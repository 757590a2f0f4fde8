//! The content of a registry.

use std::collections::BTreeMap;

use super::ServeError;
use super::route::Target;
use crate::Transfer;
use formats::digest::Digest;
use image::Blobs;
use oci::{Documents, Flavor, Reference};

/// Images by name.
#[derive(Debug, Default)]
pub struct Repository<'a> {
    is_secret: bool,
    images: BTreeMap<String, BTreeMap<String, Image<'a>>>,
}

#[derive(Debug)]
struct Image<'a> {
    blobs: &'a Blobs<'a>,
    /// Its manifests in each flavor, the preferred one first.
    documents: [Documents; 2],
}

/// A blob of an image.
#[derive(Clone, Copy, Debug)]
pub(super) enum Blob<'a> {
    /// A config.
    Document(&'a str),
    /// The layer with that index.
    Layer(&'a Blobs<'a>, usize),
}

impl<'a> Repository<'a> {
    /// A registry that serves images to clients who know their names, but does not list names.
    pub fn secret() -> Self {
        Self { is_secret: true, ..Self::default() }
    }

    /// Whether names are secret.
    pub(super) fn is_secret(&self) -> bool {
        self.is_secret
    }

    /// Adds an image. If its name includes a registry, that is ignored.
    pub fn add(&mut self, name: &Reference, blobs: &'a Blobs<'a>) -> Result<(), ServeError> {
        let tags = self.images.entry(name.repository.clone()).or_default();
        if tags.contains_key(name.tag()) {
            let (repository, tag) = (name.repository.clone(), name.tag().to_owned());
            return Err(ServeError::SameName { repository, tag });
        }
        let documents = [Flavor::Oci, Flavor::Docker].map(|flavor| blobs.documents(flavor));
        tags.insert(name.tag().to_owned(), Image { blobs, documents });
        Ok(())
    }

    /// The result of serving if no layer is requested.
    pub(super) fn nothing_sent(&self) -> Transfer {
        let images = self.images.values().flat_map(BTreeMap::values);
        images.fold(Transfer::default(), |sum, Image { blobs, .. }| {
            Transfer::none(sum.layers + blobs.all().len(), sum.bytes + blobs.size())
        })
    }

    /// The repositories, sorted.
    pub(super) fn names(&self) -> Vec<&str> {
        self.images.keys().map(String::as_str).collect()
    }

    /// A repository's tags, sorted.
    pub(super) fn tags(&self, name: &str) -> Option<Vec<&str>> {
        Some(self.images.get(name)?.keys().map(String::as_str).collect())
    }

    /// The manifests with that tag or digest, the preferred one first.
    pub(super) fn manifests(&self, name: &str, target: &Target) -> Vec<&Documents> {
        let Some(tags) = self.images.get(name) else { return Vec::new() };
        match target {
            Target::Tag(tag) => {
                tags.get(tag).map_or(Vec::new(), |image| image.documents.iter().collect())
            }
            Target::Digest(digest) => {
                let mut all = tags.values().flat_map(|image| &image.documents);
                all.find(|documents| documents.descriptor.digest == *digest).into_iter().collect()
            }
        }
    }

    pub(super) fn blob(&self, name: &str, digest: Digest) -> Option<Blob<'_>> {
        self.images.get(name)?.values().find_map(|image| {
            let [documents, _] = &image.documents;
            if documents.config_descriptor.digest == digest {
                return Some(Blob::Document(&documents.config));
            }
            let layer = image.blobs.all().iter().position(|blob| blob.digest == digest);
            layer.map(|layer| Blob::Layer(image.blobs, layer))
        })
    }
}
