//! Tar-splits, which are made while layers are hashed.

use std::collections::HashMap;
use std::io;

use parking_lot::Mutex;

use super::Digester;
use crate::cache::TarSplit;
use crate::error::Error;
use crate::layer::Unpacked;

/// The tar-splits of layers, or the errors in making them.
#[derive(Debug, Default)]
pub(super) struct TarSplits(Mutex<HashMap<usize, io::Result<TarSplit>>>);

impl TarSplits {
    pub(super) fn put(&self, layer: usize, tar_split: io::Result<TarSplit>) {
        self.0.lock().insert(layer, tar_split);
    }
}

/// The interface for deliveries that unpack layers.
#[doc(hidden)]
impl<'a> Digester<'a> {
    /// Makes tar-splits of all layers of store paths hashed from now on.
    #[must_use]
    pub fn with_tar_splits(self) -> Self {
        Self { tar_splits: Some(TarSplits::default()), ..self }
    }

    /// Makes or remembers the tar-splits of those of these layers that consist of store paths.
    /// Their digests must be known. Layers that were only hashed in an earlier run are hashed
    /// again.
    ///
    /// # Errors
    ///
    /// Those of [`Self::digest_all`], and if a layer has changed.
    pub fn find_tar_splits(&self, layers: &[usize]) -> Result<(), Error> {
        let Some(all) = &self.tar_splits else { return Ok(()) };
        let mut expected = Vec::new();
        for &layer in layers {
            if !self.image.layers[layer].is_unpacked() || all.0.lock().contains_key(&layer) {
                continue;
            }
            let digest = self.table.wait_until_known(layer)?;
            match self.table.keys(layer).next().and_then(|key| self.cache.tar_split(&key)) {
                Some(tar_split) => all.put(layer, Ok(tar_split)),
                None => expected.push((layer, digest)),
            }
        }
        if expected.is_empty() {
            return Ok(());
        }
        for (layer, _) in &expected {
            self.table.hash_again(*layer);
        }
        self.work_in_threads()?;
        for (layer, expected) in expected {
            let found = self.table.wait_until_known(layer)?;
            if found != expected {
                return Err(self.mismatch(layer, expected, found.size, Some(found.digest)));
            }
        }
        Ok(())
    }

    /// Takes a layer's tar-split; `None` if the layer does not consist of store paths, or if it was
    /// taken before.
    ///
    /// # Errors
    ///
    /// If it could not be made.
    pub fn take_tar_split(&self, layer: usize) -> io::Result<Option<TarSplit>> {
        self.tar_splits.as_ref().and_then(|all| all.0.lock().remove(&layer)).transpose()
    }

    /// A layer's entries.
    ///
    /// # Errors
    ///
    /// If the layer's tar file must be read and cannot be opened.
    pub fn unpack(&self, layer: usize) -> Result<Unpacked<'a>, Error> {
        Ok(self.image.layers[layer].unpack(self.table.listings(layer))?)
    }
}
