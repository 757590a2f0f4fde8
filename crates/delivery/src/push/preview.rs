//! What a push would send, found without sending anything.

use std::collections::HashSet;

use super::layer::Delivered;
use super::{Prepared, Push, PushError, by_repository};
use crate::Transfer;
use formats::digest::{BlobId, Digest};
use image::compress::Pool;
use oci::Reference;

/// What would be pushed to one repository.
#[derive(Clone, Debug)]
pub struct Preview {
    /// The names in the repository that the image would get.
    pub references: Vec<Reference>,
    /// The layers that would be sent: their diffIDs, and their lengths in bytes before they are
    /// compressed.
    pub missing: Vec<BlobId>,
    /// How much would be sent: at most that, as layers that were not compressed before count with
    /// all their bytes.
    pub transfer: Transfer,
}

impl Push<'_> {
    /// Finds out what a push to these names would send, and changes nothing in any registry.
    ///
    /// # Errors
    ///
    /// If a registry cannot be reached or does not let us ask, or if the images cannot be read.
    #[doc(hidden)]
    pub fn preview(&mut self, references: &[Reference]) -> Result<Vec<Preview>, PushError> {
        let mut prepared = Vec::new();
        for group in by_repository(references) {
            prepared.push(self.prepare(group, &prepared)?);
        }
        // What was sent to one repository of a registry need not be sent to another.
        let mut sent = HashSet::new();
        let preview = |prepared| self.preview_one(prepared, &mut sent);
        prepared.into_iter().map(preview).collect()
    }

    fn preview_one(
        &self,
        prepared: Prepared,
        sent: &mut HashSet<(String, Digest)>,
    ) -> Result<Preview, PushError> {
        let Prepared { references, repository, knowledge } = prepared;
        let [first, ..] = &*references else { return Err(PushError::NoName) };
        let layers = self.layers();
        let pool = Pool::new(self.options.settings, self.options.threads);
        self.observer.started(self.images);
        let mut target = self.target(&repository, &knowledge, &pool);
        target.is_preview = true;
        let found = self.find(&target, &layers)?;
        for (image, digester) in self.digesters.iter().enumerate() {
            let all = layers
                .iter()
                .zip(&found)
                .filter(|((of, _), found)| *of == image && found.is_none());
            digester.digest_some(&all.map(|((_, layer), _)| *layer).collect::<Vec<_>>())?;
        }
        let mut missing = Vec::new();
        let (mut bytes, mut bytes_sent) = (0, 0);
        for (&(image, layer), found) in layers.iter().zip(&found) {
            if let Some(Delivered { blob, .. }) = found {
                bytes += blob.size;
                continue;
            }
            let Some(known) = self.digesters[image].known_digest(layer)? else { continue };
            let remembered = self.options.settings.blob_key(known.digest);
            let blob = remembered.and_then(|key| self.cache.get(&key)).unwrap_or(known);
            bytes += blob.size;
            if sent.insert((first.registry().to_owned(), known.digest)) {
                bytes_sent += blob.size;
                missing.push(known);
            }
        }
        self.observer.finished();
        let (layers, layers_sent) = (layers.len(), missing.len());
        let transfer = Transfer { layers, layers_sent, bytes, bytes_sent };
        Ok(Preview { references, missing, transfer })
    }
}
