//! A push takes a bounded amount of memory.

use super::images::{Fixture, bytes};
use crate::support::registry::Registry;
use crate::support::{Python, peak_memory};
use std::fs::File;
use std::thread;
use std::time::Duration;

/// The maximum memory of a push, in kB.
const MOST: u64 = 128 << 10;

/// Each layer fills a good part of a block, so a buffer for each would be noticed.
#[test]
fn memory_does_not_grow_with_the_number_of_layers() {
    let mut python = Python::start(peak_memory::SCRIPT);
    let registry = Registry::start();
    let mut image = Fixture::new(0, true);
    for layer in 0..500 {
        image.add(&format!("hole{layer}"), format!("{layer}").as_bytes());
        File::options().write(true).open(image.file(layer)).unwrap().set_len(1 << 20).unwrap();
    }
    for compression in ["zstd", "gzip"] {
        image.forget();
        let name = registry.name(&format!("me/app-{compression}:1"));
        let mut push = image.push(&name);
        push.args(["--compression", compression, "--threads", "2"]);
        let kilobytes = peak_memory::of(&mut python, &push);
        assert!(kilobytes < 80 << 10, "{compression}: 501 layers took {kilobytes} kB of memory");
    }
}

/// A slow registry, so that everything that can be read ahead is.
#[test]
fn memory_is_bounded_on_many_cores_at_every_level() {
    let mut python = Python::start(peak_memory::SCRIPT);
    let registry = Registry::start_with(|request| {
        if request.method == "PATCH" || request.method == "PUT" {
            thread::sleep(Duration::from_millis(100));
        }
        None
    });
    let mut image = Fixture::new(1, true);
    for layer in 0..6 {
        image.add(&format!("large{layer}"), &bytes(100 + layer, 24 << 20));
    }
    for (compression, level) in [("zstd", "3"), ("zstd", "8"), ("zstd", "12"), ("gzip", "12")] {
        image.forget();
        let mut push = image.push(&registry.name(&format!("me/{compression}{level}:1")));
        push.args(["--compression", compression, "--level", level, "--threads", "16"]);
        let kilobytes = peak_memory::of(&mut python, &push);
        assert!(kilobytes < MOST, "{compression} {level} took {kilobytes} kB of memory");
    }
}
