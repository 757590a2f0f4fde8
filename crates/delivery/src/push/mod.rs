//! Pushes images to registries without sending blobs that are already there.
//!
//! Each layer is pushed in the cheapest way possible: found by what it is made of; found by its
//! diffID; or made and sent in a single pass. The manifest is stored last, when everything that it
//! refers to is there, so that a tag never refers to an incomplete image.

mod blob;
mod buffered;
mod deliver;
mod documents;
mod error;
mod layer;
mod mounts;
mod prepare;
mod preview;
mod remote;
mod roots;
mod session;

use crate::{Observer, Step, Transfer};
pub use error::{FalseClaim, PushError};
use formats::digest::Digest;
use image::cache::Cache;
use image::compress::{Pool, Settings};
use image::threads::cores;
use image::{Digester, Image};
use layer::Target;
use mounts::Mounts;
use oci::Compression;
use oci::registry::{self, Repository};
use oci::{Annotations, Flavor, Reference};
use prepare::{Prepared, by_repository};
pub use preview::Preview;
pub use remote::LAYER_KEY;
use remote::{Knowledge, RemoteLayer};
use roots::Trees;

/// How to push. The defaults are those of `nix-image push`.
#[derive(Clone, Debug)]
pub struct Options {
    /// How to compress the layers that are sent; by default with zstd at its usual level.
    pub settings: Settings,
    /// Whether to accept layers that the registry has in another compression. They are by default.
    pub any_compression: bool,
    /// The kind of manifest; by default OCI's.
    pub flavor: Flavor,
    /// Annotations of the manifest, in addition to those derived from the image.
    pub annotations: Annotations,
    /// The number of threads that hash and compress; by default one for each core.
    pub threads: usize,
    /// Whether to read the manifests in the registry, to find layers in it without hashing them
    /// here. They are by default.
    pub learn: bool,
    /// Further images to learn from, such as the one that another branch pushed. They have no
    /// effect without [`Self::learn`].
    pub cache_from: Vec<Reference>,
    /// How to reach registries.
    pub registry: registry::Options,
}

impl Default for Options {
    /// The behaviour of `nix-image push` without options.
    fn default() -> Self {
        Self {
            settings: Settings::usual(Compression::Zstd),
            any_compression: true,
            flavor: Flavor::Oci,
            annotations: Annotations::new(),
            threads: cores(),
            learn: true,
            cache_from: Vec::new(),
            registry: registry::Options::default(),
        }
    }
}

/// What was pushed to one repository.
#[derive(Clone, Debug)]
pub struct Pushed {
    /// The names in the repository that the image has now.
    pub references: Vec<Reference>,
    /// The digest of the manifest or, with images for several platforms, of the index.
    pub digest: Digest,
    /// The IDs of the images, which are the digests of their configs.
    pub image_ids: Vec<Digest>,
    /// How much of the images was sent.
    pub transfer: Transfer,
}

/// A push to registries, of an image or of its variants for several platforms.
///
/// Only the layers that a repository lacks are made and sent. A tag appears once everything that
/// its manifest refers to is there. Credentials are those of `docker login`, `podman login` and
/// `skopeo login`.
#[derive(Debug)]
pub struct Push<'a> {
    images: &'a [Image],
    digesters: Vec<Digester<'a>>,
    trees: Trees,
    cache: &'a Cache,
    options: &'a Options,
    observer: &'a dyn Observer,
    /// The layers pushed so far, and the registry of each.
    pushed: Vec<(String, RemoteLayer)>,
}

impl<'a> Push<'a> {
    /// A push of these images. If there are several, they are variants of one image for different
    /// platforms, under one index.
    ///
    /// # Errors
    ///
    /// If two of the images are for the same architecture.
    pub fn new(
        images: &'a [Image],
        cache: &'a Cache,
        options: &'a Options,
        observer: &'a dyn Observer,
    ) -> Result<Self, PushError> {
        if let Some(twice) = crate::sink::shared_architecture(images.iter()) {
            return Err(PushError::SamePlatform(twice));
        }
        let digesters = images
            .iter()
            .map(|image| Digester::new(image).with_cache(cache).with_threads(options.threads))
            .collect();
        let trees = Trees::of(images);
        Ok(Self { images, digesters, trees, cache, options, observer, pushed: Vec::new() })
    }

    /// Pushes to these names, and calls `each` as soon as a repository has all of its names. No
    /// layer is sent before all repositories have been reached.
    ///
    /// # Errors
    ///
    /// If a registry cannot be reached, refuses a request or makes a false claim about a layer, or
    /// if the images cannot be read. Layers sent before that stay in the registry without a name.
    pub fn to(
        &mut self,
        references: &[Reference],
        mut each: impl FnMut(&Pushed),
    ) -> Result<(), PushError> {
        self.observer.step(Step::Asking("the registry"), None);
        let mut prepared = Vec::new();
        for group in by_repository(references) {
            prepared.push(self.prepare(group, &prepared)?);
        }
        for repository in prepared {
            each(&self.push(repository)?);
        }
        Ok(())
    }

    /// Pushes to all the names in one repository.
    fn push(&mut self, prepared: Prepared) -> Result<Pushed, PushError> {
        let Prepared { references, repository, mut knowledge } = prepared;
        let [first, ..] = &*references else { return Err(PushError::NoName) };
        for (registry, known) in &self.pushed {
            let repository = known.repository.clone().filter(|_| registry == first.registry());
            knowledge.add(None, RemoteLayer { repository, ..known.clone() });
        }
        let layers = self.layers();
        let pool = Pool::new(self.options.settings, self.options.threads);
        self.observer.started(self.images);
        let target = self.target(first, &repository, &knowledge, &pool);
        let delivered = self.deliver(&target, &layers)?;
        let (digest, image_ids) =
            self.put_documents(&repository, &references, &knowledge, &layers, &delivered)?;
        self.observer.finished();
        for layer in &delivered {
            target.mounts.remember(layer.blob);
        }
        let known = delivered.iter().map(|layer| RemoteLayer {
            diff_id: layer.diff_id,
            blob: layer.blob.digest,
            size: layer.blob.size,
            compression: layer.compression,
            repository: Some(first.repository.clone()),
        });
        self.pushed.extend(known.map(|known| (first.registry().to_owned(), known)));
        Ok(Pushed {
            references,
            digest,
            image_ids,
            transfer: Transfer {
                layers: layers.len(),
                layers_sent: delivered.iter().filter(|layer| layer.uploaded).count(),
                bytes: delivered.iter().map(|layer| layer.blob.size).sum(),
                bytes_sent: delivered.iter().map(|layer| layer.sent).sum(),
            },
        })
    }

    /// The destination of the layers, and everything known about it.
    fn target<'t>(
        &'t self,
        reference: &'t Reference,
        repository: &'t Repository,
        knowledge: &'t Knowledge,
        pool: &'t Pool,
    ) -> Target<'t> {
        Target {
            repository,
            mounts: Mounts::new(self.cache, reference, &self.options.registry),
            knowledge,
            cache: self.cache,
            settings: self.options.settings,
            accepted: if self.options.any_compression {
                &[Compression::None, Compression::Gzip, Compression::Zstd]
            } else {
                std::slice::from_ref(&self.options.settings.compression)
            },
            pool,
            trees: &self.trees,
            memory: buffered::Memory::new(pool),
            is_preview: false,
            observer: self.observer,
        }
    }

    /// All layers of all images, as pairs of an image and a layer.
    fn layers(&self) -> Vec<(usize, usize)> {
        let layers = |(index, image): (usize, &Image)| {
            (0..image.layers().len()).map(move |layer| (index, layer))
        };
        self.images.iter().enumerate().flat_map(layers).collect()
    }
}
