//! The hashing of one layer; two layers are hashed at a time.

use std::io;

use crate::cache::{TarSplit, TarSplitWriter};
use crate::layer::{LayerError, LayerReader};
use formats::digest::{BlobId, Digest};
use formats::sha256::{Sha256, update_two};

/// Lanes per thread: the number of hashes that a core can interleave.
pub(super) const COUNT: usize = 2;

/// Bytes read at a time; the buffers of both lanes fit into a core's own cache.
const CHUNK: usize = 128 << 10;

/// Capacity of a buffer beyond a chunk: the largest file that is read along with its header.
const SLACK: usize = 80 << 10;

/// A layer that is being hashed.
#[derive(Debug)]
pub(super) struct Lane<'a> {
    layer: usize,
    reader: LayerReader<'a>,
    buffer: Vec<u8>,
    /// How much of the buffer has been hashed.
    start: usize,
    /// Whether the layer ends with the buffer.
    ended: bool,
    hash: Sha256,
    tar_split: Option<io::Result<TarSplitWriter>>,
}

impl<'a> Lane<'a> {
    pub(super) fn new(layer: usize, reader: LayerReader<'a>) -> Self {
        let buffer = Vec::with_capacity(CHUNK + SLACK);
        Self { layer, reader, buffer, start: 0, ended: false, hash: Sha256::new(), tar_split: None }
    }

    /// Also makes the layer's tar-split. An error there does not stop the hash.
    pub(super) fn with_tar_split(self, tar_split: io::Result<TarSplitWriter>) -> Self {
        Self { tar_split: Some(tar_split), ..self }
    }

    pub(super) fn is_finished(&self) -> bool {
        self.ended && self.start == self.buffer.len()
    }

    /// The layer, its digest and size, and its tar-split.
    pub(super) fn finish(self) -> (usize, BlobId, Option<io::Result<TarSplit>>) {
        let size = self.hash.len();
        let found = BlobId { digest: Digest(self.hash.finish()), size };
        (self.layer, found, self.tar_split.map(|made| made.and_then(TarSplitWriter::finish)))
    }

    fn refill(&mut self) -> Result<(), LayerError> {
        if self.start < self.buffer.len() || self.ended {
            return Ok(());
        }
        self.buffer.clear();
        self.start = 0;
        self.reader.fill(&mut self.buffer, CHUNK)?;
        self.ended = self.buffer.len() < CHUNK;
        if let Some(made) = &mut self.tar_split
            && let Ok(writer) = made
            && let Err(error) = writer.update(&self.buffer)
        {
            *made = Err(error);
        }
        Ok(())
    }
}

/// Reads and hashes a piece of each lane, of equal lengths if there are two; returns the total
/// number of bytes.
pub(super) fn advance(lanes: &mut [Lane<'_>]) -> Result<u64, LayerError> {
    for lane in lanes.iter_mut() {
        lane.refill()?;
    }
    let hashed = match lanes {
        [] => 0,
        [lane] => {
            let data = &lane.buffer[lane.start..];
            lane.hash.update(data);
            let length = data.len();
            lane.start = lane.buffer.len();
            length
        }
        [a, b, ..] => {
            let length = (a.buffer.len() - a.start).min(b.buffer.len() - b.start);
            let (a_data, b_data) = (&a.buffer[a.start..][..length], &b.buffer[b.start..][..length]);
            update_two(&mut a.hash, a_data, &mut b.hash, b_data);
            a.start += length;
            b.start += length;
            2 * length
        }
    };
    Ok(hashed as u64)
}
