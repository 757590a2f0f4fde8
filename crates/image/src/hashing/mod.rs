//! Finds the digests of an image's layers, from the cache or by hashing on all cores.

mod lane;
mod meter;
mod table;
mod tar_splits;

use std::sync::Arc;
use std::thread::{self, Scope};

use crate::base::BaseLayer;
use crate::budget::Budget;
use crate::cache::Cache;
use crate::error::Error;
use crate::image::Image;
use crate::layer::{BaseFact, Layer, LayerError, LayerReader, LayerStream};
use crate::threads;
use formats::digest::{BlobId, Digest};
use lane::Lane;
pub use meter::Meter;
use table::{Remembered, Table, Task};
use tar_splits::TarSplits;

/// Memory for the trees' listings between the scan and their last use; trees whose listings do not
/// fit are walked again.
const LISTINGS: usize = 8 << 20;

/// Finds the digests of an image's layers, which are their diffIDs.
///
/// Digests are stored, so a delivery with the same digester does not hash a layer again.
#[derive(Debug)]
pub struct Digester<'a> {
    image: &'a Image,
    cache: &'a Cache,
    threads: usize,
    meter: &'a dyn Meter,
    table: Table,
    budget: Arc<Budget>,
    /// The tar-splits of layers, if they were requested.
    tar_splits: Option<TarSplits>,
}

/// What to do with a digest remembered for other trees with the same NAR hashes: for trees on
/// another machine, or those before a repair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hints {
    /// Use it, and verify it while the layer is written.
    Check,
    /// Hash the layer.
    Ignore,
}

impl<'a> Digester<'a> {
    /// A digester for an image, which uses all cores and has no cache.
    pub fn new(image: &'a Image) -> Self {
        static NO_CACHE: Cache = Cache::none();
        let table = Table::new(image.layers.iter().map(Layer::known));
        let threads = threads::cores();
        let budget = Budget::new(LISTINGS);
        Self { image, cache: &NO_CACHE, threads, meter: &(), table, budget, tar_splits: None }
    }

    /// Looks up digests in a cache before hashing, and stores new ones there.
    #[must_use]
    pub fn with_cache(self, cache: &'a Cache) -> Self {
        Self { cache, ..self }
    }

    /// Sets the number of threads that list files and hash; 0 means 1. The default is one per core.
    #[must_use]
    pub fn with_threads(self, threads: usize) -> Self {
        Self { threads: threads.max(1), ..self }
    }

    /// The image whose layers are digested.
    pub fn image(&self) -> &'a Image {
        self.image
    }

    /// The digester's cache.
    pub fn cache(&self) -> &'a Cache {
        self.cache
    }

    /// The number of threads that list files and hash.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Finds the diffIDs of all layers and the sizes of their tar files, lowest layer first.
    ///
    /// # Errors
    ///
    /// If a file cannot be read or changes meanwhile, a layer does not match its checksum, or a
    /// thread cannot be started.
    pub fn digest_all(&self) -> Result<Vec<BlobId>, Error> {
        self.work_in_threads()?;
        self.table.wait_for_all()
    }
}

/// The interface for deliveries, which proceed layer by layer.
#[doc(hidden)]
impl<'a> Digester<'a> {
    /// Finds the digests of some layers, without touching any other.
    pub fn digest_some(&self, layers: &[usize]) -> Result<(), Error> {
        for layer in 0..self.image.layers.len() {
            self.table.skip(layer, !layers.contains(&layer));
        }
        self.work_in_threads()?;
        layers.iter().try_for_each(|&layer| self.table.wait_until_known(layer).map(drop))
    }

    /// Reports to a meter how much is read to hash layers.
    #[must_use]
    pub fn with_meter(self, meter: &'a dyn Meter) -> Self {
        Self { meter, ..self }
    }

    fn work_in_threads(&self) -> Result<(), Error> {
        thread::scope(|scope| self.start(scope, Hints::Ignore).inspect_err(|_| self.table.stop()))
    }

    /// Runs `consumer` while other threads hash the layers. `consumer` gets the digests from
    /// [`Self::digest`]. It must verify every layer that is [`Self::unchecked`], then call
    /// [`Self::found`].
    pub fn run<T, E: From<Error>>(&self, consumer: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        thread::scope(|scope| {
            let started = self.start(scope, Hints::Check).map_err(E::from);
            let result = started.and_then(|()| consumer());
            self.stop();
            result
        })
    }

    /// Wakes all waiting threads and makes them return.
    pub(crate) fn stop(&self) {
        self.table.stop();
    }

    /// Starts the threads that scan and hash.
    fn start<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        hints: Hints,
    ) -> Result<(), Error> {
        self.table.resume();
        for _ in 0..self.threads {
            threads::spawn(scope, move || self.table.fail_with(|| self.work(hints)))?;
        }
        Ok(())
    }

    /// Scans a layer if necessary, and returns its digest if it is known or in the cache.
    pub fn known_digest(&self, layer: usize) -> Result<Option<BlobId>, Error> {
        if self.table.claim_scan(layer) {
            self.scan(layer, Hints::Ignore)?;
        }
        Ok(self.table.known(layer))
    }

    /// Waits for a layer's digest. This layer is now the next one needed.
    pub fn digest(&self, layer: usize) -> Result<BlobId, Error> {
        self.table.wait_for_digest(layer)
    }

    /// The approximate size of a layer, if it was scanned.
    pub fn size(&self, layer: usize) -> u64 {
        self.table.size(layer)
    }

    /// The approximate total size of all layers scanned so far.
    pub fn known_size(&self) -> u64 {
        self.table.known_size()
    }

    /// Whether the sizes of all layers are known, so that [`Self::known_size`] is final.
    pub fn sizes_are_known(&self) -> bool {
        self.table.sizes_are_known(|layer| self.image.layers[layer].has_estimated_size())
    }

    /// Whether the layer's digest was remembered for other trees than the present ones.
    pub fn unchecked(&self, layer: usize) -> bool {
        self.table.is_hint(layer)
    }

    /// Records the digest of a layer that was read, also in the cache.
    pub fn found(&self, layer: usize, found: BlobId) -> Result<(), Error> {
        self.publish(layer, found)
    }

    /// Records in the cache that a layer of the base image matches its diffID.
    pub(crate) fn found_base(&self, layer: usize) {
        let it = &self.image.layers[layer];
        if let (Some(key), Some(known)) = (it.base_key(BaseFact::Checked), it.known()) {
            self.cache.put(&key, &known);
        }
    }

    /// Reads a layer from its first byte. Layers of the base image that an earlier run verified are
    /// returned as files where possible, unless `check` asks for another verification.
    pub fn stream(&self, layer: usize, check: bool) -> Result<LayerStream<'a>, Error> {
        let it = &self.image.layers[layer];
        if !check
            && let Some(known) = it.known()
            && let Some(section) = it.as_base().and_then(BaseLayer::section)
            && let Some(key) = it.base_key(BaseFact::Checked)
            && self.cache.get(&key) == Some(known)
        {
            return Ok(LayerStream::File(Some(section.map_err(LayerError::from)?)));
        }
        Ok(it.open(self.table.listings(layer))?)
    }

    /// The same, but a layer of the base image is not decompressed.
    pub(crate) fn stream_as_it_stands(&self, layer: usize) -> Result<LayerStream<'a>, Error> {
        let it = &self.image.layers[layer];
        match it.known() {
            Some(_) => self.stream(layer, false),
            None => Ok(it.open_as_it_stands(self.table.listings(layer))?),
        }
    }

    /// Reads a layer through memory only; layers of the base image are verified.
    pub fn open(&self, layer: usize) -> Result<LayerReader<'a>, Error> {
        let listings = self.table.listings(layer);
        Ok(LayerReader::new(self.image.layers[layer].open(listings)?))
    }

    /// The same, but a layer of the base image is not decompressed.
    pub fn open_as_it_stands(&self, layer: usize) -> Result<LayerReader<'a>, Error> {
        let listings = self.table.listings(layer);
        Ok(LayerReader::new(self.image.layers[layer].open_as_it_stands(listings)?))
    }

    /// Removes the cache entries of a layer that turned out to be wrong.
    pub fn forget(&self, layer: usize) {
        let it = &self.image.layers[layer];
        let base = [BaseFact::Checked, BaseFact::Blob].into_iter();
        let keys = base.filter_map(|fact| it.base_key(fact));
        keys.chain(self.table.keys(layer)).for_each(|key| self.cache.remove(&key));
    }

    /// Removes a layer's entries from the cache, and returns the error for a layer that does not
    /// match its digest. `found` is the actual digest, if the layer was hashed.
    pub fn mismatch(
        &self,
        layer: usize,
        expected: BlobId,
        size: u64,
        found: Option<Digest>,
    ) -> Error {
        self.forget(layer);
        match (self.image.layers[layer].as_base(), found) {
            (Some(base), Some(found)) => LayerError::from(base.mismatch(found)).into(),
            (None, Some(found)) if self.unchecked(layer) => {
                self.forget_hints();
                Error::Unequal { layer, expected: expected.digest, found }
            }
            _ => Error::Changed { layer, expected, size, found },
        }
    }

    /// Removes all cache entries that were made for other trees than the present ones: if one is
    /// wrong, others may be too.
    fn forget_hints(&self) {
        for layer in 0..self.image.layers.len() {
            if self.unchecked(layer) {
                self.table.keys(layer).for_each(|key| self.cache.remove(&key));
            }
        }
    }

    /// The work of one thread: scan while there are layers to scan, then hash two layers at a time.
    fn work(&self, hints: Hints) -> Result<(), Error> {
        let mut lanes = Vec::with_capacity(lane::COUNT);
        loop {
            while lanes.len() < lane::COUNT {
                match self.table.claim(lanes.len(), self.threads) {
                    Some(Task::Scan(layer)) => self.scan(layer, hints)?,
                    Some(Task::Hash(layer)) => lanes.push(self.lane(layer)?),
                    None => break,
                }
            }
            if lanes.is_empty() {
                return Ok(());
            }
            self.meter.read(lane::advance(&mut lanes)?);
            for lane in lanes.extract_if(.., |lane| lane.is_finished()) {
                let (layer, found, tar_split) = lane.finish();
                if let (Some(all), Some(tar_split)) = (&self.tar_splits, tar_split) {
                    all.put(layer, tar_split);
                }
                self.publish(layer, found)?;
            }
            if lanes.is_empty() {
                self.table.release();
            }
        }
    }

    /// A lane for a layer, with a tar-split if requested.
    fn lane(&self, layer: usize) -> Result<Lane<'a>, Error> {
        let lane = Lane::new(layer, self.open(layer)?);
        let key = self.table.keys(layer).next();
        Ok(match (&self.tar_splits, key) {
            (Some(_), Some(key)) if self.image.layers[layer].is_unpacked() => {
                lane.with_tar_split(self.cache.new_tar_split(&key))
            }
            _ => lane,
        })
    }

    fn scan(&self, layer: usize, hints: Hints) -> Result<(), Error> {
        let it = &self.image.layers[layer];
        let scanned = it.scan(&self.image.nar_hashes, &self.budget)?;
        let remembered = match (self.cache.get(&scanned.key), &scanned.same_hashes) {
            (Some(known), _) => Remembered::Known(known),
            (None, Some(key)) if hints == Hints::Check => {
                self.cache.get(key).map_or(Remembered::Nothing, Remembered::Hint)
            }
            (None, _) => Remembered::Nothing,
        };
        if let Remembered::Known(known) = &remembered {
            it.check(known.digest)?;
        }
        if let Remembered::Nothing = &remembered {
            self.meter.will_read(scanned.size);
        }
        self.table.scanned(layer, scanned, remembered);
        if self.table.all_are_scanned() {
            self.meter.all_announced();
        }
        Ok(())
    }

    fn publish(&self, layer: usize, found: BlobId) -> Result<(), Error> {
        self.image.layers[layer].check(found.digest)?;
        for key in self.table.keys(layer) {
            self.cache.put(&key, &found);
        }
        self.table.hashed(layer, found);
        Ok(())
    }
}
