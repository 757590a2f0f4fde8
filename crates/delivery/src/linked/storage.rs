//! Places images in the storage of podman, buildah or CRI-O, or in an additional image store.

use std::collections::HashSet;
use std::io;
use std::time::Duration;

use serde_json::json;

use super::LinkError;
use super::layer::Place;
use crate::Transfer;
use crate::observer::{Observer, Step};
use crate::trees::{Counts, Rules, Ways};
use containers_storage::{FinishedLayer, Layers, NewImage, NewLayer, Storage, layer_id};
use formats::digest::Digest;
use image::{Blobs, threads};

/// The result of placing an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Placed {
    /// The layers and bytes that were missing.
    pub transfer: Transfer,
    /// How their files were placed.
    pub counts: Counts,
}

/// An image to be placed in a storage.
#[derive(Debug)]
pub struct IntoStorage<'a> {
    /// The image's layers, whose digester makes tar-splits.
    pub blobs: &'a Blobs<'a>,
    /// The names it gets, with registry and tag.
    pub names: &'a [String],
    /// The storage.
    pub storage: &'a Storage,
    /// How files get from the store into the storage's directory `overlay`.
    pub ways: &'a Ways,
    /// How layers are unpacked there.
    pub rules: &'a Rules<'a>,
    /// How long to wait for other holders of the storage's locks.
    pub patience: Duration,
    /// Receives the progress.
    pub observer: &'a dyn Observer,
}

impl IntoStorage<'_> {
    /// Places the missing layers, and gives the image its names.
    ///
    /// # Errors
    ///
    /// If the image cannot be read or the storage cannot be written to. The storage has nothing new
    /// then, as layers that were begun are recorded as incomplete.
    pub fn put(&self) -> Result<Placed, LinkError> {
        let ids = layer_ids(self.blobs);
        let (mut layers, missing) = self.lock(&ids)?;
        let all = self.blobs.all();
        let bytes = missing.iter().map(|&layer| all[layer].size).sum();
        self.observer.step(Step::Linking, Some(bytes));
        let counts = self.make(&mut layers, &ids, &missing)?;
        if let Err(error) = self.put_image(ids.last().copied()) {
            // Neither podman nor a later load would remove complete layers without an image.
            let made: Vec<_> = missing.iter().map(|&layer| ids[layer]).collect();
            let _ = layers.undo(&made);
            return Err(error);
        }
        let transfer = Transfer {
            layers: all.len(),
            layers_sent: missing.len(),
            bytes: self.blobs.size(),
            bytes_sent: bytes,
        };
        Ok(Placed { transfer, counts })
    }

    /// Locks the layers; returns which of them are missing, once the tar-splits of all of these are
    /// ready. These take time, so they are made without holding the lock.
    fn lock(&self, ids: &[Digest]) -> Result<(Layers<'_>, Vec<usize>), LinkError> {
        let mut at_hand = HashSet::new();
        loop {
            let layers = self.storage.layers(self.patience)?;
            let missing = (0..ids.len()).filter(|&layer| layers.get(ids[layer]).is_none());
            let missing: Vec<usize> = missing.collect();
            if missing.iter().all(|layer| at_hand.contains(layer)) {
                return Ok((layers, missing));
            }
            drop(layers);
            self.blobs.digester().find_tar_splits(&missing)?;
            at_hand.extend(missing);
        }
    }

    /// Makes the missing layers.
    fn make(
        &self,
        layers: &mut Layers<'_>,
        ids: &[Digest],
        missing: &[usize],
    ) -> Result<Counts, LinkError> {
        let all = self.blobs.all();
        let images_layers = self.blobs.image().layers();
        for layer in (0..ids.len()).filter(|layer| !missing.contains(layer)) {
            self.observer.layer_found(layer);
        }
        let new: Vec<_> = missing
            .iter()
            .map(|&layer| NewLayer {
                id: ids[layer],
                parent: layer.checked_sub(1).map(|below| ids[below]),
                diff_id: all[layer].diff_id,
            })
            .collect();
        let directories = layers.begin(&new)?;
        let place =
            Place { blobs: self.blobs, ways: self.ways, rules: self.rules, tar_splits: true };
        let work: Vec<_> = missing.iter().copied().zip(&directories).collect();
        let mut made =
            threads::map(self.blobs.digester().threads(), &work, |(layer, directory)| {
                let relative = directory.strip_prefix(self.ways.target_path()).unwrap_or(directory);
                let made = place.put(*layer, relative)?;
                self.observer.bytes(all[*layer].size);
                self.observer.layer_done(*layer, &images_layers[*layer], all[*layer].size);
                Ok::<_, LinkError>(made)
            })?;
        let facts: Vec<_> = made.iter().map(|made| (made.facts.clone(), made.root_mode)).collect();
        let counts = made.iter().fold(Counts::default(), |mut counts, made| {
            counts += made.counts;
            counts
        });
        let splits = made.iter_mut().map(|made| match &mut made.tar_split {
            Some(split) => split.open(),
            None => Err(io::Error::other("they were not recorded")),
        });
        let mut splits = splits.collect::<io::Result<Vec<_>>>().map_err(LinkError::TarSplit)?;
        let finished = new.iter().zip(&facts).zip(&mut splits);
        let finished = finished.map(|((layer, (facts, root_mode)), tar_split)| FinishedLayer {
            id: layer.id,
            facts: facts.clone(),
            root_mode: *root_mode,
            tar_split,
        });
        layers.finish(finished.collect())?;
        Ok(counts)
    }

    /// Records the image while its layers are locked.
    fn put_image(&self, top_layer: Option<Digest>) -> Result<(), LinkError> {
        self.storage.images(self.patience)?.put(&NewImage {
            names: self.names,
            top_layer,
            manifest: self.manifest().as_bytes(),
            config: self.blobs.config_json().as_bytes(),
            created: Some(self.blobs.image().created()),
        })?;
        Ok(())
    }

    /// The manifest that `podman load` would record for an archive: its layers are the uncompressed
    /// ones, but with the media type of compressed ones.
    fn manifest(&self) -> String {
        let config = self.blobs.config_json();
        let layers = self.blobs.all().iter().map(|blob| {
            json!({
                "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
                "size": blob.size,
                "digest": blob.diff_id.to_string(),
            })
        });
        json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": {
                "mediaType": "application/vnd.docker.container.image.v1+json",
                "size": config.len(),
                "digest": Digest::of(config.as_bytes()).to_string(),
            },
            "layers": layers.collect::<Vec<_>>(),
        })
        .to_string()
    }
}

/// The IDs of an image's layers in a storage, lowest first.
pub fn layer_ids(blobs: &Blobs<'_>) -> Vec<Digest> {
    let mut below = None;
    let id = |diff_id| {
        let id = layer_id(below, diff_id);
        below = Some(id);
        id
    };
    blobs.all().iter().map(|blob| blob.diff_id).map(id).collect()
}

/// Maps owners in the image to owners on disk. In a rootless storage, root's files belong to the
/// user; files of other owners can only be created by the engine, in its user namespace.
pub fn owners_on_disk(is_rootless: bool) -> impl Fn(u32, u32) -> Option<(u32, u32)> + Sync {
    let user = rustix::process::geteuid();
    let group = rustix::process::getegid();
    // Inside the engine's user namespace, owners are the same as in the image.
    let is_mapped = is_rootless && !user.is_root();
    move |uid, gid| match (is_mapped, uid, gid) {
        (false, ..) => Some((uid, gid)),
        (true, 0, 0) => Some((user.as_raw(), group.as_raw())),
        (true, ..) => None,
    }
}
