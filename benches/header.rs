//! Encodes tar headers, plain ones and ones with an extended header.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use formats::tar::{self, Member};

const HEADERS: u64 = 1000;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    header(&mut criterion);
    criterion.final_summary();
}

fn header(criterion: &mut Criterion) {
    let store_path = "/nix/store/7rjj86a9h7h0w9xzh9c5n3jkzqk1mw5v-glibc-2.40-66";
    let plain = format!("{store_path}/share/i18n/locales/de_DE");
    let long = format!("{store_path}/lib/gconv/gconv-modules.d/{}", "x".repeat(100));
    let accented = format!("{store_path}/share/Grüße");
    let file = |name| Member {
        name,
        typeflag: tar::REGULAR,
        mode: 0o444,
        uname: b"root",
        gname: b"root",
        size: 12_345,
        mtime: 1,
        ..Member::default()
    };
    let cases = [
        ("plain", file(plain.as_bytes())),
        ("directory", Member { typeflag: tar::DIRECTORY, size: 0, ..file(plain.as_bytes()) }),
        ("long_name", file(long.as_bytes())),
        ("non_ascii_name", file(accented.as_bytes())),
    ];

    let mut group = criterion.benchmark_group("header");
    group.throughput(Throughput::Elements(HEADERS));
    for (name, member) in &cases {
        let mut out = Vec::new();
        group.bench_function(*name, |bencher| {
            bencher.iter(|| {
                out.clear();
                for _ in 0..HEADERS {
                    tar::encode(black_box(member), &mut out);
                }
                black_box(&out);
            });
        });
    }
    group.finish();
}
