//! What registries know already of the layers that are to be pushed.
//!
//! An image in a registry says which blob is which layer: its manifest lists the blobs, its
//! configuration the diffIDs. A layer of that diffID need not be compressed again. Its annotation
//! [`LAYER_KEY`] says more: what the layer was made of. A layer of the same key need not be
//! hashed, nor be there at all.
//!
//! Both are somebody's word. They are believed only of the repository that is pushed to, whose
//! writers could put any image there anyway, and of those that the user names with `--cache-from`;
//! with `--no-cache` of none. The key's word is checked against every diffID that is found here.

use std::collections::HashMap;

use super::error::PushError;
use formats::digest::Digest;
use image::cache::Key;
use oci::registry::{Document, RegistryError, Repository};
use oci::{Compression, Flavor, Index, Manifest, Platform};

/// The annotation of a layer that says what it was made of: a digest over the format's version,
/// the owner and time of its entries and each store path with its NAR hash.
pub const LAYER_KEY: &str = "nix-image.layer-key";

/// The largest configuration that is read.
const MAX_CONFIG: u64 = 8 << 20;
/// Images of an index that are read.
const MAX_IMAGES: usize = 16;

/// A layer that a registry has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RemoteLayer {
    pub(super) diff_id: Digest,
    pub(super) blob: Digest,
    pub(super) size: u64,
    pub(super) compression: Compression,
    /// The repository that has it, if that is in the registry that is pushed to.
    pub(super) repository: Option<String>,
}

/// Where something is learnt from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// In the repository that is pushed to.
    Target,
    /// In the registry that is pushed to.
    Beside,
    /// In another registry.
    Elsewhere,
}

impl Origin {
    /// Whether its blobs can be brought to the target without sending them.
    fn is_mountable(self) -> bool {
        self != Self::Elsewhere
    }

    /// Whether a failure to learn means that nothing can be pushed either, or that the user named
    /// a registry that is of no use.
    pub(super) fn is_end(self, error: &PushError) -> bool {
        let denied = |error: &RegistryError| self == Self::Target && error.is_denial();
        matches!(error, PushError::Registry(error) if error.is_end_of_all() || denied(error))
    }
}

/// All layers that are known.
#[derive(Debug, Default)]
pub(super) struct Knowledge {
    by_key: HashMap<String, RemoteLayer>,
    by_diff_id: HashMap<Digest, Vec<RemoteLayer>>,
    /// The key that the layer of a diffID has.
    keys: HashMap<Digest, String>,
}

impl Knowledge {
    /// Whether nothing is known.
    pub(super) fn is_empty(&self) -> bool {
        self.by_diff_id.is_empty()
    }

    pub(super) fn by_key(&self, key: &Key) -> Option<&RemoteLayer> {
        self.by_key.get(&key.to_string())
    }

    pub(super) fn by_diff_id(&self, diff_id: Digest) -> &[RemoteLayer] {
        self.by_diff_id.get(&diff_id).map_or(&[], Vec::as_slice)
    }

    /// The key that an image in a registry gives the layer of this diffID.
    pub(super) fn key_of(&self, diff_id: Digest) -> Option<&str> {
        self.keys.get(&diff_id).map(String::as_str)
    }

    /// Notes a layer; what is known first holds.
    pub(super) fn add(&mut self, key: Option<&str>, known: RemoteLayer) {
        // What is not a digest is not a key of ours, and not to be passed on.
        if let Some(key) = key.filter(|key| Digest::from_hex(key).is_ok()) {
            self.keys.entry(known.diff_id).or_insert_with(|| key.into());
            self.by_key.entry(key.into()).or_insert_with(|| known.clone());
        }
        let all = self.by_diff_id.entry(known.diff_id).or_default();
        if !all.contains(&known) {
            all.push(known);
        }
    }

    /// Learns the layers of the image that a tag or digest names, or of those images of an index
    /// that are for one of `platforms`. Returns whether there is such an image.
    pub(super) fn learn(
        &mut self,
        repository: &Repository,
        name: &str,
        platforms: &[Platform],
        origin: Origin,
    ) -> Result<bool, PushError> {
        let Some(document) = repository.manifest(name)? else { return Ok(false) };
        let kind = document.media_type.as_deref();
        if kind.and_then(Flavor::of_index).is_none() {
            self.learn_image(repository, &document, origin)?;
            return Ok(true);
        }
        let images = Index::parse(&document.bytes)?;
        let wanted = images.descriptors().filter(|image| {
            image.platform.as_ref().is_none_or(|platform| platforms.contains(platform))
                && Flavor::of_manifest(&image.media_type).is_some()
        });
        for image in wanted.take(MAX_IMAGES) {
            if let Some(document) = repository.manifest(&image.digest.to_string())? {
                self.learn_image(repository, &document, origin)?;
            }
        }
        Ok(true)
    }

    fn learn_image(
        &mut self,
        repository: &Repository,
        document: &Document,
        origin: Origin,
    ) -> Result<(), PushError> {
        let manifest = Manifest::parse(&document.bytes, document.media_type.as_deref())?;
        let config = repository.read(manifest.config.digest, manifest.config.size, MAX_CONFIG)?;
        let config: serde_json::Value = serde_json::from_slice(&config)?;
        let diff_ids = config["rootfs"]["diff_ids"].as_array().map_or(&[][..], Vec::as_slice);
        if diff_ids.len() != manifest.layers.len() {
            let (layers, diff_ids) = (manifest.layers.len(), diff_ids.len());
            return Err(PushError::Unequal { layers, diff_ids });
        }
        for (layer, diff_id) in manifest.layers.iter().zip(diff_ids) {
            let diff_id = diff_id.as_str().and_then(|text| text.parse().ok());
            let compression = Compression::of_layer(&layer.media_type);
            let (Some(diff_id), Some(compression)) = (diff_id, compression) else { continue };
            let known = RemoteLayer {
                diff_id,
                blob: layer.digest,
                size: layer.size,
                compression,
                repository: origin.is_mountable().then(|| repository.name().to_owned()),
            };
            self.add(layer.annotations.get(LAYER_KEY).map(String::as_str), known);
        }
        Ok(())
    }
}
