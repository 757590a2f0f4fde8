//! Remembers for which trees a layer's digest was found.
//!
//! The digest for a conf's NAR hashes is taken from the cache or the registry without reading the
//! layer. If the layer's trees exist here but are not those for which the digest was found, one of
//! them may have been damaged at that time and repaired since, so the layer is hashed.

use std::collections::HashMap;

use formats::digest::{BlobId, Digest};
use image::Image;
use image::cache::{Cache, Key, KeyBuilder};
use image::store;

/// The trees that exist when a push begins, by the keys of their layers. They may be replaced while
/// they are read, so looking later would not tell what was read.
#[derive(Debug)]
pub(super) struct Trees(HashMap<Key, Digest>);

impl Trees {
    pub(super) fn of(images: &[Image]) -> Self {
        let layers = images.iter().flat_map(|image| {
            (0..image.layers().len()).filter_map(move |layer| {
                Some((image.portable_key(layer)?, image.layers()[layer].trees()?))
            })
        });
        Self(layers.collect())
    }

    /// Whether all trees of the layer with this key exist here.
    pub(super) fn are_here(&self, key: &Key) -> bool {
        self.0.contains_key(key)
    }

    /// Whether the layer's trees were replaced since its digest was found on this machine.
    pub(super) fn were_replaced(&self, cache: &Cache, key: &Key) -> bool {
        let known = entry(cache, key).and_then(|entry| cache.get(&entry));
        known.is_some_and(|known| self.0.get(key).is_some_and(|here| *here != known.digest))
    }

    /// Remembers the trees for which the layer's digest was found.
    pub(super) fn remember(&self, cache: &Cache, key: &Key) {
        if let (Some(entry), Some(digest)) = (entry(cache, key), self.0.get(key)) {
            cache.put(&entry, &BlobId { digest: *digest, size: 0 });
        }
    }
}

/// The key of the entry in this cache. It includes the identity of the cache's directory, so that
/// the entry is not found in a copy on another machine, whose trees are different; `None` while the
/// directory does not exist.
fn entry(cache: &Cache, key: &Key) -> Option<Key> {
    let mut entry = KeyBuilder::new("roots");
    entry.add(key.to_string().as_bytes());
    entry.add_identity(&store::identity(cache.directory()?).ok()?);
    Some(entry.finish())
}
