//! One layer's way through the hash; two of them are advanced at a time.

use crate::layer::{LayerError, LayerReader};
use formats::digest::{BlobId, Digest};
use formats::sha256::{Sha256, update_two};

/// Lanes of one thread: as many computations as a core can interleave.
pub(super) const COUNT: usize = 2;

/// Bytes read at a time; both lanes' buffers fit a core's own cache.
const CHUNK: usize = 128 << 10;

/// What a buffer holds beyond a chunk, the largest file that is read with its header included.
const SLACK: usize = 80 << 10;

/// A layer that is being hashed.
#[derive(Debug)]
pub(super) struct Lane<'a> {
    layer: usize,
    reader: LayerReader<'a>,
    buffer: Vec<u8>,
    /// How much of the buffer is hashed.
    start: usize,
    /// Whether nothing comes after the buffer.
    ended: bool,
    hash: Sha256,
}

impl<'a> Lane<'a> {
    pub(super) fn new(layer: usize, reader: LayerReader<'a>) -> Self {
        let buffer = Vec::with_capacity(CHUNK + SLACK);
        Self { layer, reader, buffer, start: 0, ended: false, hash: Sha256::new() }
    }

    pub(super) fn is_finished(&self) -> bool {
        self.ended && self.start == self.buffer.len()
    }

    /// The layer and what it hashed to.
    pub(super) fn finish(self) -> (usize, BlobId) {
        let size = self.hash.len();
        (self.layer, BlobId { digest: Digest(self.hash.finish()), size })
    }

    fn refill(&mut self) -> Result<(), LayerError> {
        if self.start < self.buffer.len() || self.ended {
            return Ok(());
        }
        self.buffer.clear();
        self.start = 0;
        self.reader.fill(&mut self.buffer, CHUNK)?;
        self.ended = self.buffer.len() < CHUNK;
        Ok(())
    }
}

/// Reads and hashes a piece of each lane, of the same length where there are two.
pub(super) fn advance(lanes: &mut [Lane<'_>]) -> Result<(), LayerError> {
    for lane in lanes.iter_mut() {
        lane.refill()?;
    }
    match lanes {
        [] => {}
        [lane] => {
            lane.hash.update(&lane.buffer[lane.start..]);
            lane.start = lane.buffer.len();
        }
        [a, b, ..] => {
            let length = (a.buffer.len() - a.start).min(b.buffer.len() - b.start);
            let (a_data, b_data) = (&a.buffer[a.start..][..length], &b.buffer[b.start..][..length]);
            update_two(&mut a.hash, a_data, &mut b.hash, b_data);
            a.start += length;
            b.start += length;
        }
    }
    Ok(())
}
