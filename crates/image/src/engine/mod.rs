//! Finds the digests of an image's layers, from the cache or by hashing on all cores, while the
//! layers that are known already flow out.

mod blobs;
mod lane;
mod pieces;
mod table;

use std::sync::Arc;
use std::thread::Scope;

use anyhow::{Context as _, anyhow, bail};

use crate::budget::Budget;
use crate::cache::{Cache, Key, KeyBuilder};
use crate::image::{Image, ImageError, LayerSource, Prebuilt};
use crate::layer::{Content, LayerReader, LayerStream, StoreLayer, TarStream};
use crate::store::{self, Listing, Scan};
use crate::threads;
pub use blobs::{Blob, Blobs, Part};
use formats::digest::{BlobId, Digest};
use lane::Lane;
pub use pieces::{Piece, Pieces};
use table::{Remembered, Table, Task};

/// Memory in which the trees' listings are kept from the scan to the last use; trees that find no
/// room are walked again.
const LISTINGS: usize = 8 << 20;

/// Digests the layers of one image. [`Self::run`] does the work on threads of its own, while the
/// caller takes digests and bytes in the layers' order.
#[derive(Debug)]
pub struct Engine<'a> {
    image: &'a Image,
    cache: &'a Cache,
    table: Table,
    budget: Arc<Budget>,
}

/// How the engine goes about it.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Threads that hash.
    pub threads: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { threads: std::thread::available_parallelism().map_or(1, usize::from) }
    }
}

/// What is done with a digest that is remembered for other trees of the same NAR hashes: on
/// another machine, or before they were repaired here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hints {
    /// It is used, and checked while the layer is written.
    Check,
    /// The layer is hashed.
    Ignore,
}

/// What a scan found out about a layer.
#[derive(Debug)]
struct Scanned {
    key: Key,
    /// The key of layers of trees that should be the same, if NAR hashes say so.
    same_hashes: Option<Key>,
    /// About how many bytes there are to hash.
    size: u64,
    listings: Option<Arc<[Listing]>>,
}

impl<'a> Engine<'a> {
    /// An engine for one image.
    pub fn new(image: &'a Image, cache: &'a Cache) -> Self {
        let known = image.layers.iter().map(|layer| match &layer.source {
            LayerSource::Base(base) => {
                Some(BlobId { digest: base.diff_id, size: base.member.size })
            }
            LayerSource::Store(_) | LayerSource::Prebuilt(_) | LayerSource::Absent(_) => None,
        });
        Self { image, cache, table: Table::new(known), budget: Budget::new(LISTINGS) }
    }

    /// Runs `consumer` while the layers are digested and read, and ends when it does. It has to
    /// check the layers that are [`Self::unchecked`], and to say that they are [`Self::found`].
    pub fn run<T>(
        &self,
        options: Options,
        consumer: impl FnOnce(&Self, Pieces) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        std::thread::scope(|scope| {
            let result = self.start(scope, options, Hints::Check).and_then(|()| {
                let (readers, pieces) = pieces::channel();
                for reader in readers {
                    threads::spawn(scope, move || pieces::read(self, &reader))?;
                }
                consumer(self, pieces)
            });
            self.table.stop();
            result
        })
    }

    /// An engine for an image all of whose layers are known.
    pub fn with_digests(image: &'a Image, cache: &'a Cache, known: &[BlobId]) -> Self {
        let table = Table::new(known.iter().copied().map(Some));
        Self { image, cache, table, budget: Budget::new(LISTINGS) }
    }

    /// Finds all digests; no layer is read for another reason.
    pub fn digest_all(&self, options: Options) -> anyhow::Result<Vec<BlobId>> {
        self.work_in_threads(options)?;
        self.table.wait_for_all()
    }

    /// Finds the digests of some of the layers, and looks at no other.
    pub fn digest_some(&self, options: Options, layers: &[usize]) -> anyhow::Result<()> {
        for layer in 0..self.image.layers.len() {
            self.table.skip(layer, !layers.contains(&layer));
        }
        self.work_in_threads(options)?;
        layers.iter().try_for_each(|&layer| self.table.wait_until_known(layer).map(drop))
    }

    fn work_in_threads(&self, options: Options) -> anyhow::Result<()> {
        std::thread::scope(|scope| {
            self.start(scope, options, Hints::Ignore).inspect_err(|_| self.table.stop())
        })
    }

    /// Starts the threads that scan and hash.
    fn start<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        options: Options,
        hints: Hints,
    ) -> anyhow::Result<()> {
        let threads = options.threads.max(1);
        for _ in 0..threads {
            threads::spawn(scope, move || self.table.fail_with(|| self.work(threads, hints)))?;
        }
        Ok(())
    }

    /// The digest of a layer if it is known or remembered, after a look at what it is made of.
    pub fn look(&self, layer: usize) -> anyhow::Result<Option<BlobId>> {
        if self.table.claim_scan(layer) {
            self.scan(layer, Hints::Ignore)?;
        }
        Ok(self.table.known(layer))
    }

    /// Whether the layer's digest is remembered for other trees than those that are here.
    pub fn unchecked(&self, layer: usize) -> bool {
        self.table.is_hint(layer)
    }

    /// Notes the digest of a layer that was read as it is here, and remembers it.
    pub fn found(&self, layer: usize, found: BlobId) -> anyhow::Result<()> {
        self.publish(layer, found)
    }

    /// A layer's bytes. It must have been looked at before, and be no base layer.
    pub fn open(&self, layer: usize) -> anyhow::Result<LayerReader<'_>> {
        Ok(LayerReader::new(self.stream(layer)?))
    }

    /// About how many bytes a layer has, if it was looked at.
    pub fn size(&self, layer: usize) -> u64 {
        self.table.size(layer)
    }

    /// The image.
    pub fn image(&self) -> &'a Image {
        self.image
    }

    /// The digest of a layer, as soon as it is known; that layer's turn has come.
    pub fn digest(&self, layer: usize) -> anyhow::Result<BlobId> {
        self.table.wait_for_digest(layer)
    }

    /// Forgets what is remembered of a layer, as it turned out to be wrong.
    pub fn forget(&self, layer: usize) {
        for key in self.table.keys(layer) {
            self.cache.remove(&key);
        }
        if let (LayerSource::Base(layer), Some(base)) =
            (&self.image.layers[layer].source, &self.image.base)
        {
            for kind in [pieces::CHECKED, blobs::COMPRESSED] {
                if let Ok(key) = pieces::base_key(kind, base, layer) {
                    self.cache.remove(&key);
                }
            }
        }
    }

    /// The error of a layer that is not what it should be, of which nothing is remembered then.
    /// `found` is the digest that it has, if it was hashed.
    pub fn mismatch(
        &self,
        layer: usize,
        expected: &BlobId,
        size: u64,
        found: Option<Digest>,
    ) -> anyhow::Error {
        self.forget(layer);
        let number = layer + 1;
        let (source, base) = (&self.image.layers[layer].source, &self.image.base);
        match (source, base, found) {
            (LayerSource::Base(layer), Some(base), Some(found)) => {
                base.mismatch(layer, found).into()
            }
            (_, _, Some(found)) if self.unchecked(layer) => {
                self.forget_hints();
                anyhow!(
                    "layer {number} is {found}, but the cache says {} of paths with \
                     the same NAR hashes; one of these trees is damaged. What the cache said is \
                     forgotten; verify the paths with `nix-store --verify-path`, then run the \
                     command again",
                    expected.digest,
                )
            }
            _ => anyhow!(
                "layer {number} changed while it was being written: {} and {} bytes \
                 expected, {}{size} bytes found; run the command again",
                expected.digest,
                expected.size,
                found.map(|found| format!("{found} and ")).unwrap_or_default(),
            ),
        }
    }

    /// Forgets all that is remembered for other trees than those that are here: what was wrong of
    /// one of them may be wrong of others.
    fn forget_hints(&self) {
        for layer in 0..self.image.layers.len() {
            if self.unchecked(layer) {
                self.table.keys(layer).for_each(|key| self.cache.remove(&key));
            }
        }
    }

    /// Bytes in all the layers that were scanned so far, about.
    pub fn known_size(&self) -> u64 {
        self.table.known_size()
    }

    /// One thread's work: scan while there is something to scan, then hash two layers at a time.
    fn work(&self, threads: usize, hints: Hints) -> anyhow::Result<()> {
        let mut lanes = Vec::with_capacity(lane::COUNT);
        loop {
            while lanes.len() < lane::COUNT {
                match self.table.claim(lanes.len(), threads) {
                    Some(Task::Scan(layer)) => self.scan(layer, hints)?,
                    Some(Task::Hash(layer)) => lanes.push(self.lane(layer)?),
                    None => break,
                }
            }
            if lanes.is_empty() {
                return Ok(());
            }
            lane::advance(&mut lanes)?;
            for lane in lanes.extract_if(.., |lane| lane.is_finished()) {
                let (layer, found) = lane.finish();
                self.publish(layer, found)?;
            }
            if lanes.is_empty() {
                self.table.release();
            }
        }
    }

    fn scan(&self, layer: usize, hints: Hints) -> anyhow::Result<()> {
        let scanned = match &self.image.layers[layer].source {
            LayerSource::Store(source) => self.scan_store_layer(source)?,
            LayerSource::Prebuilt(prebuilt) => scan_prebuilt(prebuilt)?,
            LayerSource::Absent(path) => return Err(ImageError::absent(path).into()),
            LayerSource::Base(_) => bail!("base layers are not scanned"),
        };
        let remembered = match (self.cache.get(&scanned.key), &scanned.same_hashes) {
            (Some(known), _) => Remembered::Known(known),
            (None, Some(key)) if hints == Hints::Check => {
                self.cache.get(key).map_or(Remembered::Nothing, Remembered::Hint)
            }
            (None, _) => Remembered::Nothing,
        };
        if let Remembered::Known(known) = &remembered {
            self.check_prebuilt(layer, known.digest)?;
        }
        self.table.scanned(layer, scanned, remembered);
        Ok(())
    }

    fn scan_store_layer(&self, layer: &StoreLayer) -> anyhow::Result<Scanned> {
        let scan =
            |path| store::scan(&self.image.store.physical(path), Some(Listing::new(&self.budget)));
        let scans = layer.paths.iter().map(scan).collect::<Result<Vec<Scan>, _>>()?;
        Ok(Scanned {
            key: Key::of_layer(layer, &scans),
            same_hashes: Key::of_same_hashes(layer, &scans, &self.image.nar_hashes),
            size: scans.iter().map(|scan| scan.archived_size).sum(),
            listings: scans.into_iter().map(|scan| scan.listing).collect(),
        })
    }

    fn lane(&self, layer: usize) -> anyhow::Result<Lane<'_>> {
        Ok(Lane::new(layer, self.open(layer)?))
    }

    /// The layer's bytes from the first one on.
    fn stream(&self, layer: usize) -> anyhow::Result<LayerStream<'_>> {
        Ok(match &self.image.layers[layer].source {
            LayerSource::Store(source) => {
                let listings = self.table.listings(layer);
                LayerStream::Tar(Box::new(TarStream::new(&self.image.store, source, listings)))
            }
            LayerSource::Prebuilt(prebuilt) => {
                LayerStream::File(Some(Content::open(&prebuilt.tar)?))
            }
            LayerSource::Absent(path) => return Err(ImageError::absent(path).into()),
            LayerSource::Base(_) => bail!("base layers come from the base image"),
        })
    }

    fn publish(&self, layer: usize, found: BlobId) -> anyhow::Result<()> {
        self.check_prebuilt(layer, found.digest)?;
        for key in self.table.keys(layer) {
            self.cache.put(&key, &found);
        }
        self.table.hashed(layer, found);
        Ok(())
    }

    /// A finished layer must have the digest that the file beside it says.
    fn check_prebuilt(&self, layer: usize, found: Digest) -> anyhow::Result<()> {
        let LayerSource::Prebuilt(prebuilt) = &self.image.layers[layer].source else {
            return Ok(());
        };
        if prebuilt.checksum == found {
            return Ok(());
        }
        Err(anyhow!("its checksum file says {}, the tar file has {found}", prebuilt.checksum))
            .with_context(|| {
                format!("the customisation layer `{}` is damaged; build it again", prebuilt.path)
            })
    }
}

fn scan_prebuilt(prebuilt: &Prebuilt) -> anyhow::Result<Scanned> {
    let scan = store::scan(&prebuilt.tar, None)?;
    let mut key = KeyBuilder::new("prebuilt");
    key.add(prebuilt.path.as_bytes());
    key.add_identity(&scan.identity);
    key.add(&scan.fingerprint);
    let (key, size) = (key.finish(), scan.archived_size);
    Ok(Scanned { key, same_hashes: None, size, listings: None })
}
