//! Compresses blocks of two computations at once with the x86 SHA instructions.
//!
//! Every `sha256rnds2` waits for the previous one, so a single computation leaves its execution
//! unit idle about half of the time. The rounds of a second, independent computation fit into the
//! gaps. There are not enough registers for more: each lane needs two for its state and four for
//! the message, the instruction itself uses `xmm0`, and that leaves three for temporaries.

// The SHA instructions need CPU features that are only known at run time, and calling a function
// compiled for such features is unsafe.
#![expect(unsafe_code)]

use std::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_extract_epi32, _mm_set_epi8, _mm_set_epi32,
    _mm_set_epi64x, _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32,
    _mm_shuffle_epi8, _mm_shuffle_epi32,
};

use super::{Block, State};

/// The round constants, in groups of four like the message words.
const ROUND_CONSTANTS: [[u32; 4]; 16] = [
    [0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5],
    [0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5],
    [0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3],
    [0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174],
    [0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc],
    [0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da],
    [0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7],
    [0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967],
    [0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13],
    [0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85],
    [0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3],
    [0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070],
    [0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5],
    [0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3],
    [0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208],
    [0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2],
];

/// Proof that this CPU has the instructions: such a value can only come from [`TwoLanes::detect`].
#[derive(Clone, Copy)]
pub(super) struct TwoLanes(());

impl TwoLanes {
    /// Returns the kernel if this CPU supports it. The standard library caches the CPU's features.
    pub(super) fn detect() -> Option<Self> {
        let available = is_x86_feature_detected!("sha")
            && is_x86_feature_detected!("sse2")
            && is_x86_feature_detected!("ssse3")
            && is_x86_feature_detected!("sse4.1");
        available.then_some(Self(()))
    }

    /// Compresses each list of blocks into its state, up to the length of the shorter list.
    #[expect(clippy::unused_self, reason = "having it is what makes the call sound")]
    pub(super) fn compress(
        self,
        a: &mut State,
        a_blocks: &[Block],
        b: &mut State,
        b_blocks: &[Block],
    ) {
        // SAFETY: `self` was made by `detect`, which found every feature that `compress` enables.
        unsafe { compress(a, a_blocks, b, b_blocks) }
    }
}

#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
fn compress(a: &mut State, a_blocks: &[Block], b: &mut State, b_blocks: &[Block]) {
    let mut a_lane = Lane::load(a);
    let mut b_lane = Lane::load(b);
    for (a_block, b_block) in a_blocks.iter().zip(b_blocks) {
        compress_block(&mut a_lane, a_block, &mut b_lane, b_block);
    }
    *a = a_lane.store();
    *b = b_lane.store();
}

#[inline]
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
fn compress_block(a: &mut Lane, a_block: &Block, b: &mut Lane, b_block: &Block) {
    let (a_before, b_before) = (*a, *b);
    let mut a_words = load_words(a_block);
    let mut b_words = load_words(b_block);

    // Unrolled, so that registers are assigned to words at compile time.
    macro_rules! rounds {
        ($($group:literal)*) => {$(
            a.four_rounds::<$group>(&mut a_words);
            b.four_rounds::<$group>(&mut b_words);
        )*};
    }
    rounds!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);

    a.add(a_before);
    b.add(b_before);
}

/// The state of one computation, split as `sha256rnds2` needs it, highest word first.
#[derive(Clone, Copy)]
struct Lane {
    abef: __m128i,
    cdgh: __m128i,
}

impl Lane {
    #[inline]
    #[target_feature(enable = "sse2")]
    fn load(state: &State) -> Self {
        let word = |index: usize| state[index].cast_signed();
        Self {
            abef: _mm_set_epi32(word(0), word(1), word(4), word(5)),
            cdgh: _mm_set_epi32(word(2), word(3), word(6), word(7)),
        }
    }

    #[inline]
    #[target_feature(enable = "sse4.1")]
    fn store(self) -> State {
        let Self { abef, cdgh } = self;
        [
            _mm_extract_epi32::<3>(abef),
            _mm_extract_epi32::<2>(abef),
            _mm_extract_epi32::<3>(cdgh),
            _mm_extract_epi32::<2>(cdgh),
            _mm_extract_epi32::<1>(abef),
            _mm_extract_epi32::<0>(abef),
            _mm_extract_epi32::<1>(cdgh),
            _mm_extract_epi32::<0>(cdgh),
        ]
        .map(i32::cast_unsigned)
    }

    /// Rounds `4 * GROUP` to `4 * GROUP + 3`. `words` is a ring of the next sixteen message words;
    /// the four that are used are replaced with those of sixteen rounds later.
    #[inline]
    #[target_feature(enable = "sha,sse2,ssse3")]
    fn four_rounds<const GROUP: usize>(&mut self, words: &mut [__m128i; 4]) {
        let now = words[GROUP % 4];
        let [k0, k1, k2, k3] = ROUND_CONSTANTS[GROUP].map(u32::cast_signed);
        let sum = _mm_add_epi32(now, _mm_set_epi32(k3, k2, k1, k0));

        // Two rounds turn (abef, cdgh) into (new, abef): the halves swap roles each time. The
        // instruction reads the lower two sums, so the upper two are moved down for the second
        // call.
        self.cdgh = _mm_sha256rnds2_epu32(self.cdgh, self.abef, sum);
        let upper = _mm_shuffle_epi32::<0b00_00_11_10>(sum);
        self.abef = _mm_sha256rnds2_epu32(self.abef, self.cdgh, upper);

        // The last sixteen rounds only use existing words.
        if GROUP < 12 {
            let next = words[(GROUP + 1) % 4];
            let (third, last) = (words[(GROUP + 2) % 4], words[(GROUP + 3) % 4]);
            let nine_on = _mm_alignr_epi8::<4>(last, third);
            let partly = _mm_add_epi32(_mm_sha256msg1_epu32(now, next), nine_on);
            words[GROUP % 4] = _mm_sha256msg2_epu32(partly, last);
        }
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn add(&mut self, other: Self) {
        self.abef = _mm_add_epi32(self.abef, other.abef);
        self.cdgh = _mm_add_epi32(self.cdgh, other.cdgh);
    }
}

/// The sixteen words of a block, which are stored with the most significant byte first.
#[inline]
#[target_feature(enable = "sse2,ssse3")]
fn load_words(block: &Block) -> [__m128i; 4] {
    let swap = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
    let (halves, _) = block.as_chunks::<8>();
    let half = |index: usize| i64::from_le_bytes(halves[index]);
    // Each of these compiles to one unaligned load.
    [
        _mm_shuffle_epi8(_mm_set_epi64x(half(1), half(0)), swap),
        _mm_shuffle_epi8(_mm_set_epi64x(half(3), half(2)), swap),
        _mm_shuffle_epi8(_mm_set_epi64x(half(5), half(4)), swap),
        _mm_shuffle_epi8(_mm_set_epi64x(half(7), half(6)), swap),
    ]
}
