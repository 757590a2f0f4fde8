//! An image's layers as blobs: what they are called, and their bytes whenever they are asked for.

use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, bail};

use super::pieces::base_key;
use super::{Engine, Options};
use crate::base::{Base, BaseError, BaseLayer, BaseReader, Decompressed};
use crate::cache::Cache;
use crate::image::{Image, LayerSource};
use crate::layer::{Content, Step};
use formats::digest::{BlobId, Digest, HashWriter};
use oci::{Annotations, Compression, Descriptor, Documents, Flavor};

/// The kind of entry that says what the blob of a compressed layer of the base is.
pub(super) const COMPRESSED: &str = "base blob";

/// Bytes that are handed out at a time.
const CHUNK: usize = 256 << 10;

/// A layer as it is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blob {
    /// Digest of the layer's tar file.
    pub diff_id: Digest,
    /// Digest of the blob: the diffID, but for layers that are compressed in the base image.
    pub digest: Digest,
    /// Bytes of the blob.
    pub size: u64,
    /// How the tar file is encoded in the blob.
    pub compression: Compression,
}

/// Some of a blob's bytes.
#[derive(Debug)]
pub enum Part<'a> {
    /// These.
    Bytes(&'a [u8]),
    /// The content of this file.
    File(Content),
}

/// All layers of an image, with their digests known.
///
/// Blobs may be read by many threads at a time, and each as often as anybody likes.
#[derive(Debug)]
pub struct Blobs<'a> {
    engine: Engine<'a>,
    all: Vec<Blob>,
    /// Where the last one to read from the base image got to: its layers are mostly read in
    /// order, and a compressed archive can only be read forward.
    base: Mutex<Option<Decompressed>>,
}

impl<'a> Blobs<'a> {
    /// Finds the digests of all layers.
    pub fn find(image: &'a Image, cache: &'a Cache, options: Options) -> anyhow::Result<Self> {
        let engine = Engine::new(image, cache);
        let digests = engine.digest_all(options)?;
        let mut blobs = Self { engine, all: Vec::new(), base: Mutex::default() };
        for (layer, known) in image.layers.iter().zip(digests) {
            let blob = match &layer.source {
                LayerSource::Base(base) => blobs.find_in_base(base)?,
                LayerSource::Store(_) | LayerSource::Prebuilt(_) | LayerSource::Absent(_) => Blob {
                    diff_id: known.digest,
                    digest: known.digest,
                    size: known.size,
                    compression: Compression::None,
                },
            };
            blobs.all.push(blob);
        }
        Ok(blobs)
    }

    /// The image.
    pub fn image(&self) -> &'a Image {
        self.engine.image
    }

    /// The layers, lowest first.
    pub fn all(&self) -> &[Blob] {
        &self.all
    }

    /// What an engine for the same image may know from the start.
    pub fn known(&self) -> Vec<BlobId> {
        let known = |blob: &Blob| BlobId { digest: blob.diff_id, size: blob.size };
        self.all.iter().map(known).collect()
    }

    /// Bytes in all layers.
    pub fn size(&self) -> u64 {
        self.all.iter().map(|blob| blob.size).sum()
    }

    /// The image's configuration, whose digest is the image's ID.
    pub fn config_json(&self) -> String {
        let diff_ids: Vec<_> = self.all.iter().map(|blob| blob.diff_id).collect();
        self.image().config_json(&diff_ids)
    }

    /// A layer's descriptor.
    pub fn descriptor(&self, layer: usize, flavor: Flavor) -> Descriptor {
        let blob = &self.all[layer];
        let annotations = match flavor {
            Flavor::Oci => self.image().layers[layer].annotations(),
            Flavor::Docker => Annotations::new(),
        };
        Descriptor {
            annotations,
            ..Descriptor::new(flavor.layer(blob.compression), blob.digest, blob.size)
        }
    }

    /// The image's configuration and manifest.
    pub fn documents(&self, flavor: Flavor) -> Documents {
        let layers = (0..self.all.len()).map(|layer| self.descriptor(layer, flavor)).collect();
        let platform = self.image().platform();
        Documents::new(flavor, self.config_json(), layers, platform, Annotations::new())
    }

    /// Hands out a layer's bytes, which are as many as they should be. That they are the right
    /// ones is for the taker to check, or for whoever it passes them to.
    pub fn read(
        &self,
        layer: usize,
        mut each: impl FnMut(Part<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut found = 0;
        let mut each = |part: Part<'_>| {
            found += match &part {
                Part::Bytes(bytes) => bytes.len() as u64,
                Part::File(content) => content.remaining(),
            };
            each(part)
        };
        match &self.image().layers[layer].source {
            LayerSource::Base(base) => self.read_base(base, &mut each)?,
            LayerSource::Store(_) | LayerSource::Prebuilt(_) | LayerSource::Absent(_) => {
                self.read_own(layer, &mut each)?;
            }
        }
        let expected = self.all[layer].size;
        if found != expected {
            self.engine.forget(layer);
            bail!(
                "layer {} changed: {expected} bytes expected, {found} bytes found; run the \
                 command again",
                layer + 1
            );
        }
        Ok(())
    }

    /// Checks the digest of a layer that was read; forgets what was remembered of it, if wrong.
    pub fn check(&self, layer: usize, found: Digest) -> anyhow::Result<()> {
        let expected = self.all[layer].digest;
        if found == expected {
            return Ok(());
        }
        let Blob { size, compression, .. } = self.all[layer];
        if compression == Compression::None {
            let expected = BlobId { digest: expected, size };
            return Err(self.engine.mismatch(layer, &expected, size, Some(found)));
        }
        self.engine.forget(layer);
        bail!(
            "layer {} of the base image changed: {expected} expected, {found} \
             found; run the command again",
            layer + 1
        )
    }

    fn read_own(
        &self,
        layer: usize,
        each: &mut impl FnMut(Part<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut stream = self.engine.stream(layer)?;
        let mut buffer = Vec::new();
        loop {
            buffer.clear();
            let step = stream.fill(&mut buffer, CHUNK)?;
            each(Part::Bytes(&buffer))?;
            match step {
                Step::Full => {}
                Step::File(content) => each(Part::File(content))?,
                Step::End => return Ok(()),
            }
        }
    }

    fn read_base(
        &self,
        layer: &BaseLayer,
        each: &mut impl FnMut(Part<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let base = self.image().base.as_ref().context("the image has no base")?;
        if let Some(section) = BaseReader::new(base).section(layer) {
            return each(Part::File(section?));
        }
        self.with_reader(base, |reader| reader.read(layer, |bytes| each(Part::Bytes(bytes))))
    }

    /// Runs something with a reader of the base that has not come far, or where it should.
    fn with_reader<E>(
        &self,
        base: &Base,
        read: impl FnOnce(&mut BaseReader<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let slot = || self.base.lock().unwrap_or_else(PoisonError::into_inner);
        let spare = slot().take();
        let mut reader = BaseReader::resume(base, spare);
        read(&mut reader)?;
        *slot() = reader.into_archive();
        Ok(())
    }

    /// What a layer of the base image is as a blob: where it is compressed, it must be read for
    /// that, once.
    fn find_in_base(&self, layer: &BaseLayer) -> anyhow::Result<Blob> {
        let base = self.image().base.as_ref().context("the image has no base")?;
        let compression = layer.compression().ok_or_else(|| BaseError::Member {
            path: base.path().to_owned(),
            member: String::from_utf8_lossy(&layer.member.name).into(),
            problem: "is compressed in a way that no engine takes",
        })?;
        let (diff_id, size) = (layer.diff_id, layer.member.size);
        if compression == Compression::None {
            return Ok(Blob { diff_id, digest: diff_id, size, compression });
        }
        let cache = self.engine.cache;
        let key = base_key(COMPRESSED, base, layer)?;
        if let Some(known) = cache.get(&key).filter(|known| known.size == size) {
            return Ok(Blob { diff_id, digest: known.digest, size, compression });
        }
        let mut hash = HashWriter::default();
        self.with_reader(base, |reader| {
            reader.read(layer, |bytes| {
                hash.update(bytes);
                Ok::<_, BaseError>(())
            })
        })?;
        let digest = hash.finish();
        cache.put(&key, &BlobId { digest, size });
        Ok(Blob { diff_id, digest, size, compression })
    }
}
