//! Pushes images to registries, sending no blob that is there.
//!
//! Each layer goes the cheapest way that there is: known by what it is made of and there; known
//! by its diffID and there; made and sent in a single pass. The manifest comes last, when all
//! that it names is there, so that a tag never shows half an image.

mod blob;
mod known;
mod layer;
mod progress;

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context as _, bail};

use crate::base::BaseReader;
use crate::cache::Cache;
use crate::compress::{Compression, Settings};
use crate::digest::Digest;
use crate::engine::{self, Engine};
use crate::image::{Image, LayerSource};
use crate::oci::{Annotations, Descriptor, Flavor, Index, Manifest, Platform, annotation};
use crate::registry::{self, Client, Presence, Reference, Repository};
pub use known::LAYER_KEY;
use known::{Knowledge, Known};
use layer::{Delivered, Target};
pub use progress::Progress;

/// Requests that ask for blobs at a time.
const LOOKING: usize = 8;
/// Layers that are made and sent at a time; each takes some 20 MiB of memory.
const MAKING: usize = 3;
/// Threads that compress one layer, whose memory grows with them.
const COMPRESSING: usize = 4;

/// How to push.
#[derive(Clone, Debug)]
pub struct Options {
    /// How layers are compressed that are sent.
    pub settings: Settings,
    /// Whether layers that are there already may be compressed otherwise.
    pub any_compression: bool,
    /// Whose media types the manifest has.
    pub flavor: Flavor,
    /// Whether to learn from what registries have.
    pub learn: bool,
    /// Further images to learn from.
    pub cache_from: Vec<Reference>,
    /// How registries are reached.
    pub registry: registry::Options,
}

/// What was pushed to one repository.
#[derive(Clone, Debug)]
pub struct Pushed {
    /// Under which names.
    pub references: Vec<Reference>,
    /// The manifest's, or the index's, digest.
    pub digest: Digest,
    /// Layers in all.
    pub layers: usize,
    /// Layers that were sent.
    pub layers_sent: usize,
    /// Bytes of all layers' blobs.
    pub bytes: u64,
    /// Bytes of those that were sent.
    pub bytes_sent: u64,
}

/// A push of some images to any number of names.
#[derive(Debug)]
pub struct Push<'a> {
    images: &'a [Image],
    engines: Vec<Engine<'a>>,
    cache: &'a Cache,
    options: &'a Options,
    progress: &'a Progress,
    /// The layers that were pushed so far, and to which registry.
    pushed: Vec<(String, Known)>,
}

impl<'a> Push<'a> {
    /// A push of one image, or of several for as many platforms.
    pub fn new(
        images: &'a [Image],
        cache: &'a Cache,
        options: &'a Options,
        progress: &'a Progress,
    ) -> anyhow::Result<Self> {
        let mut seen = HashSet::new();
        let mut architectures = images.iter().map(|image| image.platform().architecture);
        if let Some(twice) = architectures.find(|architecture| !seen.insert(architecture.clone())) {
            bail!("two of the images are for {twice}; an index has one for each platform");
        }
        let engines = images.iter().map(|image| Engine::new(image, cache)).collect();
        Ok(Self { images, engines, cache, options, progress, pushed: Vec::new() })
    }

    /// Pushes to all the names of one repository.
    pub fn push(&mut self, references: &[Reference]) -> anyhow::Result<Pushed> {
        let [first, ..] = references else { bail!("there is no name to push to") };
        let (repository, knowledge) = self.prepare(first, references)?;
        let layers = self.layers();
        self.progress.start(layers.len());
        let target = Target {
            repository: &repository,
            knowledge: &knowledge,
            cache: self.cache,
            settings: self.options.settings,
            accepted: if self.options.any_compression {
                &[Compression::None, Compression::Gzip, Compression::Zstd]
            } else {
                std::slice::from_ref(&self.options.settings.compression)
            },
            threads: engine::Options::default().threads.min(COMPRESSING),
            progress: self.progress,
        };
        let delivered = self.deliver(&target, &layers)?;
        let digest = self.put_documents(&repository, references, &layers, &delivered)?;
        self.progress.end();
        let known = delivered.iter().map(|layer| Known {
            diff_id: layer.diff_id,
            blob: layer.blob.digest,
            size: layer.blob.size,
            compression: layer.compression,
            repository: Some(first.repository.clone()),
        });
        self.pushed.extend(known.map(|known| (first.registry.clone(), known)));
        Ok(Pushed {
            references: references.to_vec(),
            digest,
            layers: layers.len(),
            layers_sent: delivered.iter().filter(|layer| layer.uploaded).count(),
            bytes: delivered.iter().map(|layer| layer.blob.size).sum(),
            bytes_sent: delivered.iter().map(|layer| layer.sent).sum(),
        })
    }

    /// All layers of all images.
    fn layers(&self) -> Vec<(usize, usize)> {
        let layers = |(index, image): (usize, &Image)| {
            (0..image.layers.len()).map(move |layer| (index, layer))
        };
        self.images.iter().enumerate().flat_map(layers).collect()
    }

    /// Connects to the registry and learns what it has.
    fn prepare(
        &self,
        first: &Reference,
        references: &[Reference],
    ) -> anyhow::Result<(Repository, Knowledge)> {
        let sources: &[Reference] = if self.options.learn { &self.options.cache_from } else { &[] };
        let here = sources.iter().filter(|source| source.registry == first.registry);
        let mut readable: Vec<&str> = here.map(|source| source.repository.as_str()).collect();
        let pushed = self.pushed.iter().filter(|(registry, _)| *registry == first.registry);
        readable.extend(pushed.filter_map(|(_, known)| known.repository.as_deref()));
        readable.sort_unstable();
        readable.dedup();
        let client = Arc::new(Client::new(first, true, &readable, self.options.registry)?);
        let repository = Repository::new(&client, &first.repository);
        let mut knowledge = Knowledge::default();
        for (registry, known) in &self.pushed {
            let repository = known.repository.clone().filter(|_| *registry == first.registry);
            knowledge.add(None, Known { repository, ..known.clone() });
        }
        if self.options.learn {
            for reference in references {
                self.learn(&mut knowledge, &repository, reference, true)?;
            }
        }
        for source in sources {
            let mountable = source.registry == first.registry;
            let client = if mountable {
                Arc::clone(&client)
            } else {
                Arc::new(Client::new(source, false, &[], self.options.registry)?)
            };
            let source_repository = Repository::new(&client, &source.repository);
            if !self.learn(&mut knowledge, &source_repository, source, mountable)? {
                self.progress.warn(&format!("there is no image `{source}` to learn from"));
            }
        }
        Ok((repository, knowledge))
    }

    /// Learns from one image. One that makes no sense is none.
    fn learn(
        &self,
        knowledge: &mut Knowledge,
        repository: &Repository,
        reference: &Reference,
        mountable: bool,
    ) -> anyhow::Result<bool> {
        let platforms: Vec<Platform> = self.images.iter().map(Image::platform).collect();
        match knowledge.learn(repository, &reference.manifest(), &platforms, mountable) {
            Err(error) if known::is_fatal(&error) => {
                Err(error).with_context(|| format!("learning what `{reference}` has"))
            }
            Err(error) => {
                self.progress.warn(&format!("cannot learn from `{reference}`: {error:#}"));
                Ok(true)
            }
            Ok(found) => Ok(found),
        }
    }

    /// Brings all layers into the repository.
    fn deliver(
        &self,
        target: &Target<'_>,
        layers: &[(usize, usize)],
    ) -> anyhow::Result<Vec<Delivered>> {
        let mut delivered = in_parallel(LOOKING, layers, |&(image, layer)| {
            target.find_by_key(&self.engines[image], layer)
        })?;
        let missing = |delivered: &[Option<Delivered>]| -> Vec<usize> {
            (0..layers.len()).filter(|&index| delivered[index].is_none()).collect()
        };
        // Where nothing is known that could match, the hash is made while the layer is sent.
        let by_hash = !target.knowledge.is_empty();
        for image in 0..self.images.len() {
            let here = missing(&delivered).into_iter().map(|index| layers[index]);
            let here: Vec<_> = here.filter(|at| at.0 == image).map(|(_, layer)| layer).collect();
            if by_hash && !here.is_empty() {
                self.engines[image].digest_some(engine::Options::default(), &here)?;
            }
        }
        let indices = missing(&delivered);
        let found = in_parallel(LOOKING, &indices, |&index| {
            let (image, layer) = layers[index];
            let known = self.engines[image].look(layer)?;
            known.map_or(Ok(None), |known| {
                target.check(&self.engines[image], layer, known)?;
                target.find_by_diff_id(known.digest)
            })
        })?;
        for (index, found) in indices.into_iter().zip(found) {
            delivered[index] = found;
        }
        let tasks = self.tasks(layers, &missing(&delivered));
        let made = in_parallel(MAKING, &tasks, |task| self.make(target, layers, task))?;
        for (index, made) in tasks.iter().flatten().zip(made.into_iter().flatten()) {
            delivered[*index] = Some(made);
        }
        delivered.into_iter().map(|layer| layer.context("a layer was left out")).collect()
    }

    /// Which layers are made, the largest first as it would keep all waiting at the end. Those of
    /// a compressed base image are one task, as they are read one after the other.
    fn tasks(&self, layers: &[(usize, usize)], missing: &[usize]) -> Vec<Vec<usize>> {
        let mut tasks: Vec<Vec<usize>> = Vec::new();
        let mut bases: Vec<Vec<usize>> = vec![Vec::new(); self.images.len()];
        for &index in missing {
            let (image, layer) = layers[index];
            let base = self.images[image].base.as_ref();
            let is_base = matches!(self.images[image].layers[layer].source, LayerSource::Base(_));
            if is_base && base.is_some_and(crate::base::Base::is_compressed) {
                bases[image].push(index);
            } else {
                tasks.push(vec![index]);
            }
        }
        tasks.extend(bases.into_iter().filter(|task| !task.is_empty()));
        let size = |index: &usize| self.engines[layers[*index].0].size(layers[*index].1);
        tasks.sort_by_key(|task| std::cmp::Reverse(task.iter().map(size).sum::<u64>()));
        tasks
    }

    fn make(
        &self,
        target: &Target<'_>,
        layers: &[(usize, usize)],
        task: &[usize],
    ) -> anyhow::Result<Vec<Delivered>> {
        let mut base: Option<BaseReader<'_>> = None;
        let make = |&index: &usize| {
            let (image, layer) = layers[index];
            let engine = &self.engines[image];
            match (&self.images[image].layers[layer].source, &self.images[image].base) {
                (LayerSource::Base(_), Some(archive)) => {
                    let reader = base.get_or_insert_with(|| BaseReader::new(archive));
                    target.make(engine, layer, Some(reader))
                }
                _ => target.make(engine, layer, None),
            }
        };
        task.iter().map(make).collect()
    }

    /// Stores configurations, manifests and possibly an index; returns the digest of the last.
    fn put_documents(
        &self,
        repository: &Repository,
        references: &[Reference],
        layers: &[(usize, usize)],
        delivered: &[Delivered],
    ) -> anyhow::Result<Digest> {
        let mut manifests = Vec::new();
        for (index, image) in self.images.iter().enumerate() {
            let own = layers.iter().zip(delivered).filter(|((image, _), _)| *image == index);
            let own: Vec<Delivered> = own.map(|(_, delivered)| *delivered).collect();
            manifests.push(self.put_config(repository, image, &own)?.to_json());
        }
        let flavor = self.options.flavor;
        let (media_type, document) = match <[String; 1]>::try_from(manifests) {
            Ok([manifest]) => (flavor.manifest(), manifest),
            Err(manifests) => {
                let mut index = Index::new(flavor);
                for (image, manifest) in self.images.iter().zip(&manifests) {
                    let mut entry = Descriptor::of(flavor.manifest(), manifest.as_bytes());
                    entry.platform = Some(image.platform());
                    let name = format!("sha256:{}", entry.digest);
                    repository.put_manifest(&name, flavor.manifest(), manifest)?;
                    index.push(&entry);
                }
                (flavor.index(), index.to_json())
            }
        };
        for reference in references {
            repository.put_manifest(&reference.manifest(), media_type, &document)?;
        }
        Ok(Digest::of(document.as_bytes()))
    }

    /// Stores an image's configuration, and makes its manifest.
    fn put_config(
        &self,
        repository: &Repository,
        image: &Image,
        delivered: &[Delivered],
    ) -> anyhow::Result<Manifest> {
        let flavor = self.options.flavor;
        let diff_ids: Vec<Digest> = delivered.iter().map(|layer| layer.diff_id).collect();
        let config = image.config_json(&diff_ids);
        let descriptor = Descriptor::of(flavor.config(), config.as_bytes());
        if repository.look(descriptor.digest, descriptor.size)? == Presence::Absent {
            repository.upload(config.as_bytes(), descriptor.digest)?;
        }
        let layer = |(index, delivered): (usize, &Delivered)| {
            let media_type = flavor.layer(known::encoding(delivered.compression));
            let (digest, size) = (delivered.blob.digest, delivered.blob.size);
            let mut descriptor = Descriptor::new(media_type, digest, size);
            if flavor == Flavor::Oci {
                descriptor.annotations = annotation::of_layer(&image.layers[index]);
                if let Some(key) = known::portable_key(image, index) {
                    descriptor.annotations.insert(LAYER_KEY.into(), key.to_string());
                }
            }
            descriptor
        };
        Ok(Manifest {
            flavor,
            config: descriptor,
            layers: delivered.iter().enumerate().map(layer).collect(),
            annotations: Annotations::new(),
        })
    }
}

/// Does something for each item on some threads. The first error ends it.
fn in_parallel<T: Sync, R: Send>(
    threads: usize,
    items: &[T],
    work: impl Fn(&T) -> anyhow::Result<R> + Sync,
) -> anyhow::Result<Vec<R>> {
    let next = AtomicUsize::new(0);
    let results: Vec<Mutex<Option<R>>> = items.iter().map(|_| Mutex::new(None)).collect();
    let failure = Mutex::new(None);
    thread::scope(|scope| {
        for _ in 0..threads.min(items.len()) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(index) else { return };
                    match work(item) {
                        Ok(result) => {
                            *results[index].lock().unwrap_or_else(PoisonError::into_inner) =
                                Some(result);
                        }
                        Err(error) => {
                            next.store(items.len(), Ordering::Relaxed);
                            let mut failure =
                                failure.lock().unwrap_or_else(PoisonError::into_inner);
                            failure.get_or_insert(error);
                        }
                    }
                }
            });
        }
    });
    if let Some(error) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    let results = results.into_iter();
    let results = results.map(|result| result.into_inner().unwrap_or_else(PoisonError::into_inner));
    results.map(|result| result.context("some work was left out")).collect()
}
