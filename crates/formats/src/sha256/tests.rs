use proptest::prelude::*;
use proptest::sample::Index;
use sha2::Digest as _;

use super::{Sha256, update_two};

/// Long enough for many blocks and for partial blocks of every length.
const MAX_LEN: usize = 5000;

fn expected(data: &[u8]) -> [u8; 32] {
    sha2::Sha256::digest(data).into()
}

fn hash(data: &[u8]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(data);
    hasher.finish()
}

/// Bytes without a period, which could hide errors between blocks.
fn sample(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(len).collect()
}

fn hex(digest: [u8; 32]) -> String {
    use std::fmt::Write as _;
    digest.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn data() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..MAX_LEN)
}

/// The pieces in which a stream arrives. Short ones leave partial blocks of every length.
fn pieces() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let piece = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..130),
        (0_usize..8, any::<u64>()).prop_map(|(blocks, seed)| sample(blocks * 64, seed)),
        prop::collection::vec(any::<u8>(), 0..1500),
    ];
    prop::collection::vec(piece, 0..12)
}

/// The vectors of FIPS 180-2 and the byte-oriented ones of NIST's CAVP.
#[test]
fn nist_vectors() {
    let million = vec![b'a'; 1_000_000];
    let vectors: [(&[u8], &str); 7] = [
        (b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
        ),
        (
            b"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
            "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1",
        ),
        (&[0xd3], "28969cdfa74a12c82f3bad960b0b000aca2ac329deea5c2328ebc6f2ba9802c1"),
        (
            &[0x74, 0xba, 0x25, 0x21],
            "b16aa56be3880d18cd41e68384cf1ec8c17680c45a02b1575dc1518923ae8b0e",
        ),
        (&million, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"),
    ];
    for (message, digest) in vectors {
        assert_eq!(hex(hash(message)), digest, "{} bytes alone", message.len());
        for (other, other_digest) in vectors {
            let (mut a, mut b) = (Sha256::new(), Sha256::new());
            update_two(&mut a, message, &mut b, other);
            assert_eq!(hex(a.finish()), digest, "{} beside {}", message.len(), other.len());
            assert_eq!(hex(b.finish()), other_digest, "{} beside {}", other.len(), message.len());
        }
    }
}

#[test]
fn every_length_around_the_padding() {
    for len in 0..=260 {
        let data = sample(len, 1);
        assert_eq!(hash(&data), expected(&data), "{len} bytes");
    }
}

/// Every pair of partial blocks, each completed or not by further data of less than a block, one
/// block or more.
#[test]
fn every_pair_of_partial_blocks() {
    const STEP: usize = if cfg!(miri) { 31 } else { 3 };
    let (a_data, b_data) = (sample(64 + 200, 2), sample(64 + 200, 3));
    for a_used in (0..64).step_by(STEP) {
        for b_used in (0..64).step_by(STEP) {
            for (a_len, b_len) in [(0, 0), (0, 64), (20, 200), (200, 20), (64, 128), (191, 192)] {
                let (mut a, mut b) = (Sha256::new(), Sha256::new());
                let (a_data, b_data) = (&a_data[..a_used + a_len], &b_data[..b_used + b_len]);
                a.update(&a_data[..a_used]);
                b.update(&b_data[..b_used]);
                update_two(&mut a, &a_data[a_used..], &mut b, &b_data[b_used..]);
                assert_eq!(a.len(), a_data.len() as u64);
                assert_eq!(b.len(), b_data.len() as u64);
                assert_eq!(a.finish(), expected(a_data), "{a_used}+{a_len}, {b_used}+{b_len}");
                assert_eq!(b.finish(), expected(b_data), "{a_used}+{a_len}, {b_used}+{b_len}");
            }
        }
    }
}

/// Compares the two lanes with `sha2`, block by block, starting from arbitrary states.
#[cfg(target_arch = "x86_64")]
#[test]
fn kernel_compresses_as_sha2_does() {
    use super::two_lanes::TwoLanes;

    let Some(kernel) = TwoLanes::detect() else {
        #[expect(clippy::print_stderr, reason = "says why the test shows nothing")]
        {
            eprintln!("this CPU has no SHA instructions, so the two lanes are not tested");
        }
        return;
    };
    let mut runner = proptest::test_runner::TestRunner::default();
    // Unaligned at random, to test the loads.
    let blocks = (0..if cfg!(miri) { 3_usize } else { 40 }, 0_usize..16, any::<u64>());
    let lanes = (any::<[u32; 8]>(), blocks.clone(), any::<[u32; 8]>(), blocks);
    runner
        .run(
            &lanes,
            |(a_start, (a_count, a_offset, a_seed), b_start, (b_count, b_offset, b_seed))| {
                let a_data = sample(a_offset + a_count * 64, a_seed);
                let b_data = sample(b_offset + b_count * 64, b_seed);
                let (a_blocks, _) = a_data[a_offset..].as_chunks();
                let (b_blocks, _) = b_data[b_offset..].as_chunks();
                let (mut a, mut b) = (a_start, b_start);
                kernel.compress(&mut a, a_blocks, &mut b, b_blocks);

                let common = a_count.min(b_count);
                let (mut a_expected, mut b_expected) = (a_start, b_start);
                sha2::block_api::compress256(&mut a_expected, &a_blocks[..common]);
                sha2::block_api::compress256(&mut b_expected, &b_blocks[..common]);
                prop_assert_eq!(a, a_expected);
                prop_assert_eq!(b, b_expected);
                Ok(())
            },
        )
        .unwrap();
}

proptest! {
    #[test]
    fn one_stream_in_pieces(data in data(), cuts in prop::collection::vec(any::<Index>(), 0..20)) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(data.len() + 1)).collect();
        cuts.sort_unstable();
        let mut hasher = Sha256::new();
        let mut start = 0;
        for cut in cuts {
            hasher.update(&data[start..cut]);
            prop_assert_eq!(hasher.len(), cut as u64);
            start = cut;
        }
        hasher.update(&data[start..]);
        prop_assert_eq!(hasher.len(), data.len() as u64);
        prop_assert_eq!(hasher.finish(), expected(&data));
    }

    #[test]
    fn two_streams_of_any_lengths(a_data in data(), b_data in data()) {
        let (mut a, mut b) = (Sha256::new(), Sha256::new());
        update_two(&mut a, &a_data, &mut b, &b_data);
        prop_assert_eq!(a.finish(), expected(&a_data));
        prop_assert_eq!(b.finish(), expected(&b_data));
    }

    /// The next piece of one stream is hashed alone or together with the next one of another.
    #[test]
    fn streams_paired_at_random(
        streams in prop::collection::vec(pieces(), 2..6),
        turns in prop::collection::vec((any::<Index>(), any::<Index>(), any::<bool>()), 0..60),
    ) {
        let mut hashers = vec![Sha256::new(); streams.len()];
        let mut queues: Vec<_> = streams.iter().map(|pieces| pieces.iter()).collect();
        for (first, second, alone) in turns {
            let (first, second) = (first.index(streams.len()), second.index(streams.len()));
            let piece = queues[first].next().map_or(&[][..], Vec::as_slice);
            if alone || first == second {
                hashers[first].update(piece);
            } else {
                let other = queues[second].next().map_or(&[][..], Vec::as_slice);
                let [a, b] = hashers.get_disjoint_mut([first, second]).unwrap();
                update_two(a, piece, b, other);
            }
        }
        for ((mut hasher, rest), pieces) in hashers.into_iter().zip(queues).zip(&streams) {
            for piece in rest {
                hasher.update(piece);
            }
            let whole = pieces.concat();
            prop_assert_eq!(hasher.len(), whole.len() as u64);
            prop_assert_eq!(hasher.finish(), expected(&whole));
        }
    }
}
