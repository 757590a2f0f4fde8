//! What a push would send, without sending anything.

use std::collections::HashSet;

use super::layer::Delivered;
use super::prepare::{Prepared, by_repository};
use super::{Push, PushError};
use crate::Transfer;
use formats::digest::{BlobId, Digest};
use image::compress::Pool;
use oci::Reference;

/// What would be pushed to one repository.
#[derive(Clone, Debug)]
pub struct Preview {
    /// The names in the repository that the image would get.
    pub references: Vec<Reference>,
    /// The layers that would be sent: their diffIDs and their uncompressed sizes in bytes.
    pub missing: Vec<BlobId>,
    /// How much would be sent at most: layers that were never compressed here count with their
    /// uncompressed size.
    pub transfer: Transfer,
}

impl Push<'_> {
    /// Finds out what a push to these names would send, without changing anything in a registry.
    ///
    /// # Errors
    ///
    /// If a registry cannot be reached or refuses to answer, or if the images cannot be read.
    #[doc(hidden)]
    pub fn preview(&mut self, references: &[Reference]) -> Result<Vec<Preview>, PushError> {
        let mut prepared = Vec::new();
        for group in by_repository(references) {
            prepared.push(self.prepare(group, &prepared)?);
        }
        // A layer in one repository of a registry need not be sent to another one.
        let mut there = HashSet::new();
        let preview = |prepared| self.preview_one(prepared, &mut there);
        prepared.into_iter().map(preview).collect()
    }

    fn preview_one(
        &self,
        prepared: Prepared,
        there: &mut HashSet<(String, Digest)>,
    ) -> Result<Preview, PushError> {
        let Prepared { references, repository, knowledge } = prepared;
        let [first, ..] = &*references else { return Err(PushError::NoName) };
        let layers = self.layers();
        let pool = Pool::new(self.options.settings, self.options.threads);
        self.observer.started(self.images);
        let mut target = self.target(first, &repository, &knowledge, &pool);
        target.is_preview = true;
        let found = self.find(&target, &layers)?;
        self.digest_missing(&layers, &found)?;
        let mut missing = Vec::new();
        let (mut bytes, mut bytes_sent) = (0, 0);
        for (&(image, layer), found) in layers.iter().zip(&found) {
            if let Some(Delivered { diff_id, blob, .. }) = found {
                bytes += blob.size;
                there.insert((first.registry().to_owned(), *diff_id));
                continue;
            }
            let Some(known) = self.digesters[image].known_digest(layer)? else { continue };
            let blob = self.remembered_blob(known);
            bytes += blob.size;
            if there.insert((first.registry().to_owned(), known.digest)) {
                bytes_sent += blob.size;
                missing.push(known);
            }
        }
        self.observer.finished();
        let (layers, layers_sent) = (layers.len(), missing.len());
        let transfer = Transfer { layers, layers_sent, bytes, bytes_sent };
        Ok(Preview { references, missing, transfer })
    }

    /// Computes the diffIDs of the layers that were not found in a repository.
    fn digest_missing(
        &self,
        layers: &[(usize, usize)],
        found: &[Option<Delivered>],
    ) -> Result<(), PushError> {
        let missing = || layers.iter().zip(found).filter(|(_, found)| found.is_none());
        for (index, digester) in self.digesters.iter().enumerate() {
            let own = missing().filter(|((image, _), _)| *image == index);
            digester.digest_some(&own.map(|((_, layer), _)| *layer).collect::<Vec<_>>())?;
        }
        Ok(())
    }

    /// The blob of a layer if it was compressed before, or else the layer itself.
    fn remembered_blob(&self, layer: BlobId) -> BlobId {
        let key = self.options.settings.blob_key(layer.digest);
        key.and_then(|key| self.cache.get(&key)).unwrap_or(layer)
    }
}
