//! The bytes are always the same, and what reads these formats reads them.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use proptest::prelude::*;

use super::*;

fn compress(settings: Settings, threads: usize, data: &[u8], piece: usize) -> Vec<u8> {
    let mut encoder = Encoder::new(settings, threads).unwrap();
    let mut out = Vec::new();
    for piece in data.chunks(piece.max(1)) {
        encoder.write(piece, &mut out).unwrap();
    }
    encoder.finish(&mut out).unwrap();
    out
}

fn decompress(compression: Compression, data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match compression {
        Compression::None => out.extend_from_slice(data),
        // Not the decoder of several members: there has to be one.
        Compression::Gzip => {
            let mut decoder = flate2::bufread::GzDecoder::new(data);
            decoder.read_to_end(&mut out).unwrap();
            assert!(decoder.into_inner().is_empty(), "more follows the member");
        }
        Compression::Zstd => out = ::zstd::decode_all(data).unwrap(),
    }
    out
}

/// Text-like data, the same each time, that refers back over the ends of blocks.
fn sample(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut data = Vec::with_capacity(length + 64);
    while data.len() < length {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let word = (state >> 33) % 3000;
        write!(data, "{word:x}-{} ", word % 7).unwrap();
        if word < 20 && data.len() > 40_000 {
            let from = data.len() - 30_000;
            data.extend_from_within(from..from + 500);
        }
    }
    data.truncate(length);
    data
}

fn all_settings() -> impl Iterator<Item = Settings> {
    [(Compression::Gzip, 1), (Compression::Gzip, 2), (Compression::Gzip, 6)]
        .into_iter()
        .chain([(Compression::Zstd, 1), (Compression::Zstd, 3), (Compression::Zstd, 7)])
        .map(|(compression, level)| Settings { compression, level })
}

#[test]
fn the_bytes_do_not_depend_on_threads_pieces_or_runs() {
    let data = sample(9_000_001);
    for settings in all_settings() {
        let first = compress(settings, 1, &data, 128 << 10);
        assert!(first.len() < data.len() / 2, "{settings:?}");
        for threads in 1..=8 {
            let again = compress(settings, threads, &data, 40_000 * threads + 7);
            assert!(again == first, "{settings:?} on {threads} threads makes other bytes");
        }
        assert!(decompress(settings.compression, &first) == data, "{settings:?}");
    }
}

#[test]
fn the_formats_bytes_are_pinned() {
    // A change of these is a format break; see GZIP_FORMAT and ZSTD_FORMAT.
    let data = sample(3_000_000);
    let digest = |settings| crate::digest::Digest::of(&compress(settings, 2, &data, 1 << 20));
    let found: Vec<String> = all_settings()
        .map(|settings| format!("{} {}", settings.format().unwrap(), digest(settings)))
        .collect();
    assert_eq!(found.join("\n"), include_str!("pinned.txt").trim_end());
}

#[test]
fn lengths_around_the_ends_of_blocks_come_back() {
    let data = sample((4 << 20) + 2);
    let block = 512 << 10;
    for length in [0, 1, block - 1, block, block + 1, 2 * block, (2 << 20) + 1, 4 << 20] {
        for settings in all_settings() {
            let packed = compress(settings, 3, &data[..length], 100_000);
            assert!(
                decompress(settings.compression, &packed) == data[..length],
                "{settings:?} {length}"
            );
        }
    }
}

#[test]
fn the_reference_tools_read_it() {
    let data = sample(2_500_000);
    for (program, compression) in [("gzip", Compression::Gzip), ("zstd", Compression::Zstd)] {
        let packed = compress(Settings::usual(compression), 2, &data, 1 << 20);
        let child = Command::new(program)
            .args(["-d", "-c", "-q"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut child) = child else { continue };
        let mut stdin = child.stdin.take().unwrap();
        let writer = std::thread::spawn(move || stdin.write_all(&packed).unwrap());
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        assert!(output.status.success() && output.stdout == data, "{program}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_data_comes_back(
        seed in proptest::collection::vec(any::<u8>(), 0..2000),
        repeat in 1_usize..900,
        piece in 1_usize..70_000,
        threads in 1_usize..5,
        which in 0_usize..6,
    ) {
        let data = seed.repeat(repeat);
        let settings = all_settings().nth(which).unwrap();
        let packed = compress(settings, threads, &data, piece);
        prop_assert!(packed == compress(settings, 1, &data, usize::MAX));
        prop_assert!(decompress(settings.compression, &packed) == data);
    }
}
