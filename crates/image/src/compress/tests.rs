//! Checks that the bytes never change, and that other tools can read them.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use proptest::prelude::*;

use super::*;

fn compress(settings: Settings, threads: usize, data: &[u8]) -> Vec<u8> {
    let pool = Pool::new(settings, threads);
    let mut encoder = Encoder::new(&pool, settings);
    let mut out = Vec::new();
    let mut read = |encoder: &mut Encoder<'_>| {
        let packed = encoder.read().unwrap();
        packed.map(|packed| {
            out.extend_from_slice(&packed);
            pool.buffers().put(packed);
        })
    };
    let blocks = data.chunks_exact(pool.block());
    let rest = blocks.remainder();
    for block in blocks.chain([rest]) {
        if encoder.is_full() {
            read(&mut encoder).unwrap();
        }
        encoder.write(block.to_vec()).unwrap();
    }
    while read(&mut encoder).is_some() {}
    out
}

fn decompress(compression: Compression, data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match compression {
        Compression::None => out.extend_from_slice(data),
        Compression::Gzip => {
            flate2::bufread::MultiGzDecoder::new(data).read_to_end(&mut out).map(drop).unwrap();
        }
        Compression::Zstd => out = ::zstd::decode_all(data).unwrap(),
    }
    out
}

/// Text-like data, always the same, with repetitions across block boundaries.
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
    [(Compression::Gzip, 1), (Compression::Gzip, 3), (Compression::Gzip, 9)]
        .into_iter()
        .chain([(Compression::Zstd, 1), (Compression::Zstd, 3), (Compression::Zstd, 7)])
        .map(|(compression, level)| Settings { compression, level })
}

#[test]
fn the_bytes_do_not_depend_on_threads_or_runs() {
    let data = sample(13_000_001);
    for settings in all_settings() {
        let first = compress(settings, 1, &data);
        assert!(first.len() < data.len() / 2, "{settings:?}");
        for threads in 1..=8 {
            let again = compress(settings, threads, &data);
            assert!(again == first, "{settings:?} on {threads} threads makes other bytes");
        }
        assert!(decompress(settings.compression, &first) == data, "{settings:?}");
    }
}

#[test]
fn the_formats_bytes_are_pinned() {
    // A change here is a format break; see GZIP_FORMAT and ZSTD_FORMAT.
    let data = sample(7_000_000);
    let digest = |settings: Settings| {
        // More than two blocks each. With a length for each format, one can change without the
        // other's pins.
        let length = if settings.compression == Compression::Gzip { 3_000_000 } else { 7_000_000 };
        formats::digest::Digest::of(&compress(settings, 2, &data[..length]))
    };
    let high = Settings { compression: Compression::Zstd, level: 12 };
    let found: Vec<String> = all_settings()
        .chain([high])
        .map(|settings| format!("{} {}", settings.format().unwrap(), digest(settings).hex()))
        .collect();
    assert_eq!(found.join("\n"), include_str!("pinned.txt").trim_end());
}

#[test]
fn the_highest_levels_come_back() {
    let data = sample(4_000_000);
    for (compression, level) in [(Compression::Zstd, 10), (Compression::Gzip, 12)] {
        let settings = Settings { compression, level };
        let packed = compress(settings, 3, &data);
        assert!(packed == compress(settings, 1, &data), "{settings:?}");
        assert!(decompress(compression, &packed) == data, "{settings:?}");
    }
}

#[test]
fn lengths_around_the_ends_of_blocks_come_back() {
    for settings in all_settings() {
        let block = settings.block();
        let data = sample(3 * block + 1);
        for length in [0, 1, block - 1, block, block + 1, 2 * block, 3 * block + 1] {
            let packed = compress(settings, 3, &data[..length]);
            assert!(
                decompress(settings.compression, &packed) == data[..length],
                "{settings:?} {length}"
            );
        }
    }
}

#[test]
fn noise_grows_hardly_and_what_repeats_in_it_is_found() {
    let mut state = 1_u64;
    let mut noise = Vec::new();
    for _ in 0..200_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        noise.extend_from_slice(&(state >> 24).to_le_bytes()[..5]);
    }
    let repeated = noise[..20_000].repeat(50);
    for settings in all_settings() {
        let packed = compress(settings, 2, &noise);
        assert!(packed.len() < noise.len() + noise.len() / 500, "{settings:?}");
        assert!(decompress(settings.compression, &packed) == noise, "{settings:?}");
        let packed = compress(settings, 2, &repeated);
        assert!(packed.len() < repeated.len() / 10, "{settings:?}");
        assert!(decompress(settings.compression, &packed) == repeated, "{settings:?}");
    }
}

#[test]
fn the_reference_tools_read_it() {
    let data = sample(2_500_000);
    for (program, compression) in [("gzip", Compression::Gzip), ("zstd", Compression::Zstd)] {
        let packed = compress(Settings::usual(compression), 2, &data);
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

/// Each stream can always have one block, and all streams together stay within the limit.
#[test]
fn streams_share_the_memory_for_blocks_ahead() {
    let settings = Settings::usual(Compression::Zstd);
    let pool = Pool::new(settings, 16);
    let mut encoders: Vec<_> = (0..20).map(|_| Encoder::new(&pool, settings)).collect();
    let fill = |encoder: &mut Encoder<'_>| {
        let mut blocks = 0;
        while !encoder.is_full() {
            encoder.write(b"short, as its length is not what counts".to_vec()).unwrap();
            blocks += 1;
        }
        blocks
    };
    let blocks: Vec<usize> = encoders.iter_mut().map(fill).collect();
    // The first one takes all shared memory.
    assert_eq!(blocks[0], 4, "{blocks:?}");
    assert!(blocks[1..].iter().all(|blocks| *blocks == 1), "{blocks:?}");
    while encoders[0].read().unwrap().is_some() {}
    assert_eq!(fill(&mut encoders[1]), 3);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_data_comes_back(
        seed in proptest::collection::vec(any::<u8>(), 0..2000),
        repeat in 1_usize..900,
        threads in 1_usize..5,
        which in 0_usize..6,
    ) {
        let data = seed.repeat(repeat);
        let settings = all_settings().nth(which).unwrap();
        let packed = compress(settings, threads, &data);
        prop_assert!(packed == compress(settings, 1, &data));
        prop_assert!(decompress(settings.compression, &packed) == data);
    }
}
