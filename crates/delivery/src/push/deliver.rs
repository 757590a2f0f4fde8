//! The order and the threads in which layers are looked up and made.

use std::collections::HashMap;

use super::Push;
use super::error::PushError;
use super::layer::{Delivered, Target, of_layout};
use crate::Step;
use image::threads;

/// How many requests for blobs are made at a time.
const LOOKING: usize = 8;
/// How many layers are made and sent at a time; each takes up to 13 MiB of memory, plus shared
/// memory.
const MAKING: usize = 4;

impl Push<'_> {
    /// Brings all layers into the repository.
    pub(super) fn deliver(
        &self,
        target: &Target<'_>,
        layers: &[(usize, usize)],
    ) -> Result<Vec<Delivered>, PushError> {
        let mut delivered = self.find(target, layers)?;
        let indices = missing(&delivered);
        let firsts = self.firsts(layers, &indices)?;
        let indices = indices.into_iter().zip(firsts);
        let (own, twins): (Vec<_>, Vec<_>) = indices.partition(|(index, first)| index == first);
        let tasks = self.tasks(layers, own.into_iter().map(|(index, _)| index));
        let missing = tasks.iter().flatten().map(|index| self.size(layers[*index])).sum();
        target.observer.layers_missing(missing);
        let made = threads::map(MAKING, &tasks, |task| self.make(target, layers, task))?;
        for (index, made) in tasks.iter().flatten().zip(made.into_iter().flatten()) {
            delivered[*index] = Some(made);
        }
        for (index, first) in twins {
            let made = delivered[first];
            delivered[index] = made.map(|made| Delivered { sent: 0, uploaded: false, ..made });
        }
        Ok(delivered.into_iter().flatten().collect())
    }

    /// Finds the layers that already exist in the repository or can be mounted from another one.
    pub(super) fn find(
        &self,
        target: &Target<'_>,
        layers: &[(usize, usize)],
    ) -> Result<Vec<Option<Delivered>>, PushError> {
        let mut delivered = threads::map(LOOKING, layers, |&(image, layer)| {
            match target.find_by_blob(&self.digesters[image], layer)? {
                Some(found) => Ok(Some(found)),
                None => target.find_by_key(&self.digesters[image], layer),
            }
        })?;
        // If nothing is known that could match, hashes are computed while layers are sent. Several
        // images may share layers.
        let by_hash = !target.knowledge.is_empty() || self.images.len() > 1;
        // The blobs of a layout are sent unchanged, even if the registry has the layers in other
        // blobs.
        let is_fixed = |&index: &usize| {
            let (image, layer) = layers[index];
            of_layout(&self.images[image].layers()[layer]).is_some()
        };
        let open = missing(&delivered).into_iter().filter(|index| !is_fixed(index));
        let open: Vec<_> = open.collect();
        for image in 0..self.images.len() {
            let here = open.iter().map(|&index| layers[index]);
            let here: Vec<_> = here.filter(|at| at.0 == image).map(|(_, layer)| layer).collect();
            if by_hash && !here.is_empty() {
                target.observer.step(Step::Reading, None);
                self.digesters[image].digest_some(&here)?;
            }
        }
        let found = threads::map(LOOKING, &open, |&index| {
            let (image, layer) = layers[index];
            let known = self.digesters[image].known_digest(layer)?;
            known.map_or(Ok(None), |known| {
                target.check(&self.digesters[image], layer, known)?;
                target.find_by_diff_id(layer, known.digest)
            })
        })?;
        for (index, found) in open.into_iter().zip(found) {
            delivered[index] = found;
        }
        Ok(delivered)
    }

    /// For each of these layers the first one that is identical, as far as digests are known.
    fn firsts(
        &self,
        layers: &[(usize, usize)],
        indices: &[usize],
    ) -> Result<Vec<usize>, PushError> {
        let mut seen = HashMap::new();
        let first = |&index: &usize| {
            let (image, layer) = layers[index];
            let known = self.digesters[image].known_digest(layer)?;
            Ok(known.map_or(index, |known| *seen.entry(known.digest).or_insert(index)))
        };
        indices.iter().map(first).collect()
    }

    /// The layers to make, as tasks, starting with the largest, which would otherwise keep the
    /// others waiting at the end. The layers of a compressed base image are a single task, as they
    /// can only be read in order.
    fn tasks(
        &self,
        layers: &[(usize, usize)],
        missing: impl Iterator<Item = usize>,
    ) -> Vec<Vec<usize>> {
        let mut tasks: Vec<Vec<usize>> = Vec::new();
        let mut bases: Vec<Vec<usize>> = vec![Vec::new(); self.images.len()];
        for index in missing {
            let (image, layer) = layers[index];
            let base = self.images[image].layers()[layer].as_base();
            if base.is_some_and(|base| base.archive.is_compressed()) {
                bases[image].push(index);
            } else {
                tasks.push(vec![index]);
            }
        }
        tasks.extend(bases.into_iter().filter(|task| !task.is_empty()));
        let size = |index: &usize| self.size(layers[*index]);
        tasks.sort_by_key(|task| std::cmp::Reverse(task.iter().map(size).sum::<u64>()));
        tasks
    }

    /// About how many bytes a layer of one of the images has, uncompressed.
    fn size(&self, (image, layer): (usize, usize)) -> u64 {
        self.digesters[image].size(layer)
    }

    fn make(
        &self,
        target: &Target<'_>,
        layers: &[(usize, usize)],
        task: &[usize],
    ) -> Result<Vec<Delivered>, PushError> {
        let make = |&index: &usize| {
            let (image, layer) = layers[index];
            target.make(&self.digesters[image], layer)
        };
        task.iter().map(make).collect()
    }
}

/// The layers that are not in the repository yet.
fn missing(delivered: &[Option<Delivered>]) -> Vec<usize> {
    (0..delivered.len()).filter(|&index| delivered[index].is_none()).collect()
}
