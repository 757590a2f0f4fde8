//! Compares hashing one SHA-256 stream with hashing two interleaved ones.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use formats::sha256::{Sha256, update_two};
use sha2::Digest as _;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    hash(&mut criterion);
    criterion.final_summary();
}

fn hash(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hash");
    for kib in [64, 1024] {
        let a_data = vec![0x5a; kib * 1024];
        let b_data = vec![0xa5; kib * 1024];
        let size = format!("{kib}KiB");

        group.throughput(Throughput::Bytes(a_data.len() as u64));
        group.bench_function(BenchmarkId::new("sha2", &size), |bencher| {
            let mut hasher = sha2::Sha256::new();
            bencher.iter(|| hasher.update(black_box(&a_data)));
        });
        group.bench_function(BenchmarkId::new("update", &size), |bencher| {
            let mut hasher = Sha256::new();
            bencher.iter(|| hasher.update(black_box(&a_data)));
        });

        group.throughput(Throughput::Bytes((a_data.len() + b_data.len()) as u64));
        group.bench_function(BenchmarkId::new("update_two", &size), |bencher| {
            let (mut a, mut b) = (Sha256::new(), Sha256::new());
            bencher.iter(|| update_two(&mut a, black_box(&a_data), &mut b, black_box(&b_data)));
        });
    }
    group.finish();
}
