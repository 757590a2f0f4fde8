//! Tracks which layers are known, and what each thread does next.

use formats::digest::BlobId;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::cache::Key;
use crate::error::Error;
use crate::layer::Scanned;
use crate::store::Listing;

/// The states of the layers, shared by all threads.
#[derive(Debug)]
pub(super) struct Table {
    inner: Mutex<Inner>,
    changed: Condvar,
}

/// A task for a thread.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Task {
    /// Scan the layer.
    Scan(usize),
    /// Hash the layer.
    Hash(usize),
}

#[derive(Debug)]
struct Inner {
    slots: Vec<Slot>,
    /// The layer to be written next.
    next: usize,
    /// The number of threads with a lane in use.
    busy: usize,
    stopped: bool,
    failure: Option<Error>,
}

#[derive(Debug)]
struct Slot {
    state: State,
    /// Whether the digest was remembered for other trees than the present ones.
    hint: bool,
    key: Option<Key>,
    same_hashes: Option<Key>,
    size: u64,
    listings: Option<Arc<[Listing]>>,
}

/// What the cache has for a scanned layer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Remembered {
    /// Its digest.
    Known(BlobId),
    /// The digest for other trees, which should be the same.
    Hint(BlobId),
    /// Nothing.
    Nothing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Unscanned,
    /// Not to be scanned until requested.
    Skipped,
    Scanning,
    Waiting,
    Hashing,
    Known(BlobId),
}

impl Table {
    /// A table of layers, some of which may have known digests.
    pub(super) fn new(known: impl Iterator<Item = Option<BlobId>>) -> Self {
        let slot = |known: Option<BlobId>| Slot {
            state: known.map_or(State::Unscanned, State::Known),
            hint: false,
            key: None,
            same_hashes: None,
            size: known.map_or(0, |known| known.size),
            listings: None,
        };
        let inner = Inner {
            slots: known.map(slot).collect(),
            next: 0,
            busy: 0,
            stopped: false,
            failure: None,
        };
        Self { inner: Mutex::new(inner), changed: Condvar::new() }
    }

    /// The next task for a thread with this many lanes in use; `None` if it should continue with
    /// these, or has nothing left to do.
    pub(super) fn claim(&self, lanes: usize, threads: usize) -> Option<Task> {
        let mut inner = self.lock();
        loop {
            if inner.stopped {
                return None;
            }
            if let Some(layer) = inner.find(State::Unscanned) {
                inner.slots[layer].state = State::Scanning;
                return Some(Task::Scan(layer));
            }
            // Use the second lane only for layers that no idle thread would take.
            let waiting = inner.slots.iter().filter(|slot| slot.state == State::Waiting).count();
            if waiting > 0 && (lanes == 0 || waiting > threads - inner.busy) {
                inner.busy += usize::from(lanes == 0);
                let layer = inner.choose()?;
                inner.slots[layer].state = State::Hashing;
                return Some(Task::Hash(layer));
            }
            if lanes > 0 || inner.find(State::Scanning).is_none() {
                return None;
            }
            self.changed.wait(&mut inner);
        }
    }

    /// Called when a thread has no lane in use any more.
    pub(super) fn release(&self) {
        self.lock().busy -= 1;
    }

    /// Records the result of a scan. Without a remembered digest, the layer has to be hashed.
    pub(super) fn scanned(&self, layer: usize, scanned: Scanned, remembered: Remembered) {
        let known = match remembered {
            Remembered::Known(known) | Remembered::Hint(known) => Some(known),
            Remembered::Nothing => None,
        };
        let mut inner = self.lock();
        inner.slots[layer] = Slot {
            state: known.map_or(State::Waiting, State::Known),
            hint: matches!(remembered, Remembered::Hint(_)),
            key: Some(scanned.key),
            same_hashes: scanned.same_hashes,
            size: known.map_or(scanned.size, |known| known.size),
            listings: scanned.listings,
        };
        self.changed.notify_all();
    }

    /// Records a layer's digest.
    pub(super) fn hashed(&self, layer: usize, found: BlobId) {
        let slot = &mut self.lock().slots[layer];
        slot.state = State::Known(found);
        slot.size = found.size;
        slot.hint = false;
        self.changed.notify_all();
    }

    /// Makes a scanned layer be hashed even though its digest is known.
    pub(super) fn hash_again(&self, layer: usize) {
        self.lock().slots[layer].state = State::Waiting;
    }

    /// Waits for the layer's scan; returns its listings, unless they were dropped.
    pub(super) fn listings(&self, layer: usize) -> Option<Arc<[Listing]>> {
        let mut inner = self.lock();
        while matches!(inner.slots[layer].state, State::Unscanned | State::Scanning) {
            if inner.stopped {
                return None;
            }
            self.changed.wait(&mut inner);
        }
        inner.slots[layer].listings.clone()
    }

    /// Waits for a layer's digest. The layers before it are not needed any more.
    pub(super) fn wait_for_digest(&self, layer: usize) -> Result<BlobId, Error> {
        let mut inner = self.lock();
        inner.next = layer;
        inner.drop_listings_before(layer);
        drop(inner);
        self.wait_until_known(layer)
    }

    /// Waits for a layer's digest.
    pub(super) fn wait_until_known(&self, layer: usize) -> Result<BlobId, Error> {
        let mut inner = self.lock();
        loop {
            inner.fail_if_stopped()?;
            if let State::Known(digest) = inner.slots[layer].state {
                return Ok(digest);
            }
            self.changed.wait(&mut inner);
        }
    }

    /// Waits for all digests.
    pub(super) fn wait_for_all(&self) -> Result<Vec<BlobId>, Error> {
        let mut inner = self.lock();
        loop {
            let known = inner.slots.iter().map(|slot| match slot.state {
                State::Known(digest) => Some(digest),
                _ => None,
            });
            if let Some(all) = known.collect() {
                return Ok(all);
            }
            inner.fail_if_stopped()?;
            self.changed.wait(&mut inner);
        }
    }

    /// The layer's digest, if it is known already.
    pub(super) fn known(&self, layer: usize) -> Option<BlobId> {
        match self.lock().slots[layer].state {
            State::Known(digest) => Some(digest),
            _ => None,
        }
    }

    /// Excludes a layer that was not scanned yet from the work, or includes it again.
    pub(super) fn skip(&self, layer: usize, skip: bool) {
        let state = &mut self.lock().slots[layer].state;
        if matches!(state, State::Unscanned | State::Skipped) {
            *state = if skip { State::Skipped } else { State::Unscanned };
        }
    }

    /// Whether the caller should scan the layer, because no thread has done so or is doing so.
    pub(super) fn claim_scan(&self, layer: usize) -> bool {
        let state = &mut self.lock().slots[layer].state;
        let unscanned = matches!(state, State::Unscanned | State::Skipped);
        if unscanned {
            *state = State::Scanning;
        }
        unscanned
    }

    pub(super) fn size(&self, layer: usize) -> u64 {
        self.lock().slots[layer].size
    }

    /// The cache keys of the layer's digest.
    pub(super) fn keys(&self, layer: usize) -> impl Iterator<Item = Key> {
        let slot = &self.lock().slots[layer];
        [slot.key, slot.same_hashes].into_iter().flatten()
    }

    pub(super) fn is_hint(&self, layer: usize) -> bool {
        self.lock().slots[layer].hint
    }

    pub(super) fn known_size(&self) -> u64 {
        self.lock().slots.iter().map(|slot| slot.size).sum()
    }

    /// Whether all layers' sizes are known. For a layer in `estimated` that is only so once its
    /// digest is known.
    pub(super) fn sizes_are_known(&self, estimated: impl Fn(usize) -> bool) -> bool {
        let inner = self.lock();
        inner.slots.iter().enumerate().all(|(layer, slot)| match slot.state {
            State::Unscanned | State::Skipped | State::Scanning => false,
            State::Waiting | State::Hashing => !estimated(layer),
            State::Known(_) => true,
        })
    }

    /// Whether no layer is left to scan.
    pub(super) fn all_are_scanned(&self) -> bool {
        let inner = self.lock();
        inner.find(State::Unscanned).is_none() && inner.find(State::Scanning).is_none()
    }

    /// Lets threads work again, unless one of them has failed.
    pub(super) fn resume(&self) {
        let mut inner = self.lock();
        inner.stopped = inner.failure.is_some();
    }

    /// Makes all threads end.
    pub(super) fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    /// Runs a thread's work; an error or panic stops all threads.
    pub(super) fn fail_with(&self, work: impl FnOnce() -> Result<(), Error>) {
        struct StopOnPanic<'a>(&'a Table);
        impl Drop for StopOnPanic<'_> {
            fn drop(&mut self) {
                if std::thread::panicking() {
                    self.0.stop();
                }
            }
        }
        let _guard = StopOnPanic(self);
        if let Err(error) = work() {
            self.lock().failure.get_or_insert(error);
            self.stop();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock()
    }
}

impl Inner {
    fn fail_if_stopped(&mut self) -> Result<(), Error> {
        if !self.stopped {
            return Ok(());
        }
        Err(self.failure.take().unwrap_or(Error::EndedEarly))
    }

    fn find(&self, state: State) -> Option<usize> {
        self.slots.iter().position(|slot| slot.state == state)
    }

    /// Chooses the waiting layer that is written next, or else the largest: started last, it would
    /// keep a single core busy after all others are done.
    fn choose(&self) -> Option<usize> {
        let waiting = |layer: &usize| self.slots[*layer].state == State::Waiting;
        let next = Some(self.next).filter(|next| *next < self.slots.len()).filter(waiting);
        let largest = || (0..self.slots.len()).filter(waiting).max_by_key(|&i| self.slots[i].size);
        next.or_else(largest)
    }

    fn drop_listings_before(&mut self, layer: usize) {
        for slot in &mut self.slots[..layer] {
            slot.listings = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::KeyBuilder;
    use crate::layer::LayerError;
    use formats::digest::{BlobId, Digest};

    /// A table of layers with these sizes, waiting to be hashed.
    fn table(sizes: &[u64]) -> Table {
        let table = Table::new(sizes.iter().map(|_| None));
        for (layer, &size) in sizes.iter().enumerate() {
            assert_eq!(table.claim(0, 2), Some(Task::Scan(layer)));
            let key = KeyBuilder::new("test").finish();
            let scanned = Scanned { key, same_hashes: None, size, listings: None };
            table.scanned(layer, scanned, Remembered::Nothing);
        }
        table
    }

    fn known(size: u64) -> BlobId {
        BlobId { digest: Digest([0; 32]), size }
    }

    #[test]
    fn the_layer_needed_next_comes_first_and_then_the_largest() {
        let table = table(&[1, 5, 9, 7]);
        assert_eq!(table.claim(0, 1), Some(Task::Hash(0)));
        assert_eq!(table.claim(1, 1), Some(Task::Hash(2)));
        table.hashed(0, known(1));
        assert_eq!(table.wait_for_digest(0).unwrap(), known(1));
        table.hashed(2, known(9));
        table.release();
        assert_eq!(table.claim(0, 1), Some(Task::Hash(3)));
        assert_eq!(table.claim(1, 1), Some(Task::Hash(1)));
        assert_eq!(table.claim(2, 1), None);
    }

    #[test]
    fn a_second_lane_is_left_to_a_thread_that_has_none() {
        let table = table(&[1, 1]);
        assert_eq!(table.claim(0, 2), Some(Task::Hash(0)));
        assert_eq!(table.claim(1, 2), None);
        assert_eq!(table.claim(0, 2), Some(Task::Hash(1)));
    }

    #[test]
    fn a_failure_reaches_the_one_who_waits() {
        let table = table(&[1]);
        table.fail_with(|| Err(LayerError::Absent("/no-such-luck".into()).into()));
        assert_eq!(table.claim(0, 1), None);
        let error = table.wait_for_digest(0).unwrap_err().to_string();
        assert!(error.contains("no-such-luck"), "{error}");
        assert!(table.listings(0).is_none());
    }
}
