//! SHA-256 of one stream or of two at a time.
//!
//! A SHA-256 computation is limited by the latency of its rounds, not by the CPU's throughput, so
//! [`update_two`] advances two of them in little more time than one takes. Where that has no
//! advantage, blocks go through the `sha2` crate: for a single stream, and on CPUs without the x86
//! SHA instructions.

#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod two_lanes;

use std::slice;

use sha2::block_api::compress256;

/// The eight words of state between two blocks.
type State = [u32; 8];

const BLOCK_LEN: usize = 64;
type Block = [u8; BLOCK_LEN];

/// The position of the length in the last block.
const LENGTH_OFFSET: usize = BLOCK_LEN - size_of::<u64>();

const INITIAL_STATE: State = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// A SHA-256 computation that gets its data in pieces.
#[derive(Clone, Debug)]
pub struct Sha256 {
    state: State,
    /// The number of bytes so far; those after the last multiple of [`BLOCK_LEN`] are in `partial`.
    len: u64,
    /// Only the first `len % BLOCK_LEN` bytes are valid.
    partial: Block,
}

impl Sha256 {
    /// A computation without any data yet.
    pub fn new() -> Self {
        Self { state: INITIAL_STATE, len: 0, partial: [0; BLOCK_LEN] }
    }

    /// Adds `data` to the hashed bytes.
    pub fn update(&mut self, data: &[u8]) {
        let (completed, data) = self.fill_partial(data);
        if completed {
            self.compress_partial();
        }
        let blocks = self.take(data);
        self.compress(blocks);
    }

    /// The digest of all bytes.
    pub fn finish(mut self) -> [u8; 32] {
        let used = self.partial_len();
        self.partial[used] = 0x80;
        self.partial[used + 1..].fill(0);
        if used >= LENGTH_OFFSET {
            self.compress_partial();
            self.partial.fill(0);
        }
        self.partial[LENGTH_OFFSET..].copy_from_slice(&(self.len * 8).to_be_bytes());
        self.compress_partial();

        let mut digest = [0; 32];
        let (words, _) = digest.as_chunks_mut();
        for (bytes, word) in words.iter_mut().zip(self.state) {
            *bytes = word.to_be_bytes();
        }
        digest
    }

    /// The number of bytes hashed so far.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether no bytes have been hashed yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[expect(clippy::cast_possible_truncation, reason = "the remainder is below `BLOCK_LEN`")]
    fn partial_len(&self) -> usize {
        (self.len % BLOCK_LEN as u64) as usize
    }

    /// Moves bytes from the front of `data` into the partial block, if there is one. Returns
    /// whether that completed the block, which the caller must then compress, and the rest.
    fn fill_partial<'data>(&mut self, data: &'data [u8]) -> (bool, &'data [u8]) {
        let used = self.partial_len();
        if used == 0 {
            return (false, data);
        }
        let free = &mut self.partial[used..];
        let (front, rest) = data.split_at(free.len().min(data.len()));
        free[..front.len()].copy_from_slice(front);
        self.len += front.len() as u64;
        (front.len() == BLOCK_LEN - used, rest)
    }

    /// Counts all of `data`, stores an incomplete block at its end, and returns the complete
    /// blocks, which the caller must compress. There must be no partial block unless `data` is
    /// empty.
    fn take<'data>(&mut self, data: &'data [u8]) -> &'data [Block] {
        let (blocks, end) = data.as_chunks();
        self.partial[..end.len()].copy_from_slice(end);
        self.len += data.len() as u64;
        blocks
    }

    fn compress_partial(&mut self) {
        compress256(&mut self.state, slice::from_ref(&self.partial));
    }

    fn compress(&mut self, blocks: &[Block]) {
        if !blocks.is_empty() {
            compress256(&mut self.state, blocks);
        }
    }
}

impl Default for Sha256 {
    fn default() -> Self {
        Self::new()
    }
}

/// Feeds data to two computations, interleaved where that makes the CPU faster.
///
/// The result is the same as that of `a.update(a_data)` and `b.update(b_data)`. If the lengths
/// differ, the rest of the longer one is hashed alone.
pub fn update_two(a: &mut Sha256, a_data: &[u8], b: &mut Sha256, b_data: &[u8]) {
    let (a_completed, a_data) = a.fill_partial(a_data);
    let (b_completed, b_data) = b.fill_partial(b_data);
    match (a_completed, b_completed) {
        (true, true) => compress_two(
            &mut a.state,
            slice::from_ref(&a.partial),
            &mut b.state,
            slice::from_ref(&b.partial),
        ),
        (true, false) => a.compress_partial(),
        (false, true) => b.compress_partial(),
        (false, false) => {}
    }

    let a_blocks = a.take(a_data);
    let b_blocks = b.take(b_data);
    let common = a_blocks.len().min(b_blocks.len());
    let (a_blocks, a_rest) = a_blocks.split_at(common);
    let (b_blocks, b_rest) = b_blocks.split_at(common);
    if common > 0 {
        compress_two(&mut a.state, a_blocks, &mut b.state, b_blocks);
    }
    a.compress(a_rest);
    b.compress(b_rest);
}

/// Compresses equal numbers of blocks of two computations.
fn compress_two(a: &mut State, a_blocks: &[Block], b: &mut State, b_blocks: &[Block]) {
    debug_assert_eq!(a_blocks.len(), b_blocks.len());
    #[cfg(target_arch = "x86_64")]
    if let Some(kernel) = two_lanes::TwoLanes::detect() {
        kernel.compress(a, a_blocks, b, b_blocks);
        return;
    }
    compress256(a, a_blocks);
    compress256(b, b_blocks);
}
