//! Which trees a layer's digest was found for.
//!
//! What a conf's NAR hashes say of a layer is taken from the cache or the registry without a look
//! at the layer. Where its trees are here and are not those for which the digest was found, one of
//! them may have been damaged then and repaired since, so the layer is hashed.

use crate::cache::{Cache, Key, KeyBuilder, LayerDigest};
use crate::digest::Digest;
use crate::image::{Image, LayerSource};
use crate::store::{self, StorePath};

/// Whether the layer's trees were replaced since its digest was found on this machine.
pub(super) fn were_replaced(cache: &Cache, image: &Image, layer: usize, key: &Key) -> bool {
    let known = cache.get(&entry(key)).map(|known| known.digest);
    known.is_some_and(|known| look(image, layer).is_some_and(|here| here != known))
}

/// Remembers the trees for which the layer's digest was found.
pub(super) fn remember(cache: &Cache, image: &Image, layer: usize, key: &Key) {
    if let Some(digest) = look(image, layer) {
        cache.put(&entry(key), &LayerDigest { digest, size: 0 });
    }
}

fn entry(key: &Key) -> Key {
    let mut entry = KeyBuilder::new("roots");
    entry.add(key.to_string().as_bytes());
    entry.finish()
}

/// A digest of which trees are here; `None` if not all of them are.
fn look(image: &Image, layer: usize) -> Option<Digest> {
    let mut roots = KeyBuilder::new("trees");
    match &image.layers[layer].source {
        LayerSource::Store(layer) => {
            let physical = |path: &StorePath| image.store.physical(path);
            for root in layer.paths.iter().map(physical) {
                roots.add_identity(&store::identity(&root).ok()?);
            }
        }
        LayerSource::Prebuilt(layer) => roots.add_identity(&store::identity(&layer.tar).ok()?),
        LayerSource::Base(_) | LayerSource::Absent(_) => return None,
    }
    Some(roots.finish().digest())
}
