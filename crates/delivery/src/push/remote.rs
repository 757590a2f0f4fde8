//! What registries already know about the layers to be pushed.
//!
//! An image in a registry tells which blob is which layer: its manifest lists the blobs, its config
//! the diffIDs. A layer with such a diffID need not be compressed again. The annotation
//! [`LAYER_KEY`] tells even more: what the layer was made of. A layer with the same key need not be
//! hashed, and its store paths need not even exist here.
//!
//! Both are claims of others. They are only trusted from the repository that is pushed to, whose
//! writers could push any image there anyway, and from those that the user names with
//! `--cache-from`; with `--no-cache`, from none. Claims by key are checked against every diffID
//! that is found here.

use std::collections::HashMap;

use super::error::PushError;
use formats::digest::Digest;
use image::cache::Key;
use oci::registry::{Document, RegistryError, Repository};
use oci::{Compression, Flavor, Index, Manifest, Platform};

/// The annotation of a layer that tells what it was made of: a digest of the format's version, the
/// owner and time of its entries, and each store path with its NAR hash.
pub const LAYER_KEY: &str = "nix-image.layer-key";

/// The maximum size of a config.
const MAX_CONFIG: u64 = 8 << 20;
/// How many images of an index are read.
const MAX_IMAGES: usize = 16;

/// A layer that a registry has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RemoteLayer {
    pub(super) diff_id: Digest,
    pub(super) blob: Digest,
    pub(super) size: u64,
    pub(super) compression: Compression,
    /// The repository that has it, if that is in the target's registry.
    pub(super) repository: Option<String>,
}

/// The relation of an image that is learnt from to the push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// It is in the repository that is pushed to.
    Target,
    /// It is in another repository of the target's registry.
    Beside,
    /// It is in another registry.
    Elsewhere,
}

impl Origin {
    /// Whether its blobs can be mounted in the target without sending them.
    fn is_mountable(self) -> bool {
        self != Self::Elsewhere
    }

    /// Whether an error in learning ends the push, because pushing would fail too or because the
    /// user named an unusable registry.
    pub(super) fn is_end(self, error: &PushError) -> bool {
        let denied = |error: &RegistryError| self == Self::Target && error.is_denial();
        matches!(error, PushError::Registry(error) if error.is_end_of_all() || denied(error))
    }
}

/// Everything that is known about layers.
#[derive(Debug, Default)]
pub(super) struct Knowledge {
    by_key: HashMap<String, RemoteLayer>,
    by_diff_id: HashMap<Digest, Vec<RemoteLayer>>,
    /// The keys of layers by diffID.
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

    /// The key of the layer with this diffID, according to an image in a registry.
    pub(super) fn key_of(&self, diff_id: Digest) -> Option<&str> {
        self.keys.get(&diff_id).map(String::as_str)
    }

    /// Adds a layer; what was added first takes precedence.
    pub(super) fn add(&mut self, key: Option<&str>, known: RemoteLayer) {
        // A string that is not a digest is not one of our keys and must not be passed on.
        if let Some(key) = key.filter(|key| Digest::from_hex(key).is_ok()) {
            self.keys.entry(known.diff_id).or_insert_with(|| key.into());
            self.by_key.entry(key.into()).or_insert_with(|| known.clone());
        }
        let all = self.by_diff_id.entry(known.diff_id).or_default();
        if !all.contains(&known) {
            all.push(known);
        }
    }

    /// Learns the layers of the image with a tag or digest or, for an index, of its images for one
    /// of `platforms`. Returns whether the image exists.
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
