//! Blobs in memory, until they are sent.

use std::io::{self, Read};
use std::sync::Arc;

use crate::budget::{Budget, Share};
use crate::compress::Pool;

/// Bytes of a blob that are held at most.
const MOST: usize = 16 << 20;
/// Bytes for which there is always room.
const LEAST: usize = 4 << 20;
/// Memory for what all blobs hold beyond that.
const SHARED: usize = 24 << 20;

/// The start of a blob, or all of it.
#[derive(Debug)]
pub(super) struct Held<'a> {
    pool: &'a Pool,
    buffers: Vec<Vec<u8>>,
    bytes: usize,
    share: Share,
}

/// The memory that blobs may be held in.
pub(super) fn budget() -> Arc<Budget> {
    Budget::new(SHARED)
}

impl<'a> Held<'a> {
    /// Reads a blob as far as it can be held, and whether that is all of it.
    pub(super) fn read(
        blob: &mut impl Read,
        pool: &'a Pool,
        budget: &Arc<Budget>,
    ) -> io::Result<(Self, bool)> {
        let mut held = Self { pool, buffers: Vec::new(), bytes: 0, share: Share::new(budget) };
        loop {
            let mut buffer = pool.buffer();
            let space = buffer.capacity();
            let wanted = held.bytes + space;
            if wanted > MOST || (wanted > LEAST && !held.share.grow(space)) {
                return Ok((held, false));
            }
            let bytes = blob.take(space as u64).read_to_end(&mut buffer)?;
            held.bytes += bytes;
            held.buffers.push(buffer);
            if bytes < space {
                return Ok((held, true));
            }
        }
    }

    /// Its bytes.
    pub(super) fn parts(&self) -> Vec<&[u8]> {
        self.buffers.iter().map(Vec::as_slice).collect()
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.buffers.drain(..).for_each(|buffer| self.pool.recycle(buffer));
    }
}
