//! Blobs held in memory until they are sent.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::Arc;

use image::Buffers;
use image::budget::{Budget, Share};
use image::compress::Pool;

/// The maximum number of bytes held of a blob.
const MOST: usize = 16 << 20;
/// The number of bytes that can always be held.
const LEAST: usize = 4 << 20;
/// How many bytes are read at a time.
const PIECE: usize = 1 << 20;

/// The memory in which blobs may be held.
#[derive(Debug)]
pub(super) struct Memory {
    buffers: Buffers,
    budget: Arc<Budget>,
}

/// A blob, or its start, in memory. Bytes are released once they are read.
#[derive(Debug)]
pub(super) struct Buffered<'a> {
    memory: &'a Memory,
    buffers: VecDeque<Vec<u8>>,
    /// How many bytes of the first buffer have been read.
    start: usize,
    share: Share,
}

impl Memory {
    /// Memory from the pool's budget, for everything beyond `LEAST`.
    pub(super) fn new(pool: &Pool) -> Self {
        Self { buffers: Buffers::new(PIECE), budget: Arc::clone(pool.budget()) }
    }
}

impl<'a> Buffered<'a> {
    /// Reads as much of a blob as can be held; also returns whether that is all of it.
    pub(super) fn take(blob: &mut impl Read, memory: &'a Memory) -> io::Result<(Self, bool)> {
        let share = Share::new(&memory.budget);
        let mut held = Self { memory, buffers: VecDeque::new(), start: 0, share };
        loop {
            let wanted = (held.buffers.len() + 1) * PIECE;
            if wanted > MOST || (wanted > LEAST && !held.share.grow(PIECE)) {
                return Ok((held, false));
            }
            let mut buffer = memory.buffers.take();
            let bytes = blob.take(PIECE as u64).read_to_end(&mut buffer)?;
            held.buffers.push_back(buffer);
            if bytes < PIECE {
                return Ok((held, true));
            }
        }
    }

    /// All bytes, provided that none have been read yet.
    pub(super) fn parts(&self) -> Vec<&[u8]> {
        self.buffers.iter().map(Vec::as_slice).collect()
    }
}

impl Read for Buffered<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while let Some(buffer) = self.buffers.front() {
            let bytes = (&buffer[self.start..]).read(out)?;
            self.start += bytes;
            if bytes > 0 || out.is_empty() {
                return Ok(bytes);
            }
            self.buffers.pop_front().into_iter().for_each(|buffer| self.memory.buffers.put(buffer));
            self.start = 0;
            self.share.shrink_to((self.buffers.len() * PIECE).saturating_sub(LEAST));
        }
        Ok(0)
    }
}

impl Drop for Buffered<'_> {
    fn drop(&mut self) {
        self.buffers.drain(..).for_each(|buffer| self.memory.buffers.put(buffer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::compress::Settings;
    use oci::Compression;

    fn memory() -> Memory {
        Memory::new(&Pool::new(Settings::usual(Compression::None), 1))
    }

    fn left(memory: &Memory) -> usize {
        let mut share = Share::new(&memory.budget);
        std::iter::repeat_with(|| share.grow(PIECE)).take_while(|grown| *grown).count() * PIECE
    }

    #[test]
    fn what_is_read_is_held_no_more() {
        let memory = memory();
        let all = left(&memory);
        let blob: Vec<u8> = (0..MOST + 5).map(|byte| (byte % 251) as u8).collect();
        let mut rest = blob.as_slice();
        let (mut held, is_whole) = Buffered::take(&mut rest, &memory).unwrap();
        assert!(!is_whole && rest.len() == 5);
        assert_eq!(left(&memory), all - (MOST - LEAST));
        let mut found = vec![0; MOST / 2 + 1];
        held.read_exact(&mut found).unwrap();
        assert_eq!(left(&memory), all - (MOST / 2 - LEAST));
        held.chain(rest).read_to_end(&mut found).unwrap();
        assert!(found == blob);
        assert_eq!(left(&memory), all);
    }

    #[test]
    fn a_blob_that_finds_room_is_held_whole() {
        let memory = memory();
        for length in [0, 1, PIECE - 1, PIECE, 3 * PIECE + 1, MOST - 1] {
            let blob = vec![7; length];
            let (held, is_whole) = Buffered::take(&mut blob.as_slice(), &memory).unwrap();
            assert!(is_whole && held.parts().concat() == blob, "{length}");
        }
    }
}
