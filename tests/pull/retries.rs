//! Broken connections are resumed where they broke.

use super::images::{TestImage, compress, name, nix_image};
use crate::push::images::bytes;
use crate::support::registry::{Fault, Registry, Request};
use crate::support::{failure_of, stdout_of};
use oci::{Compression, Flavor};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::TempDir;

/// An image whose blobs break as the test says, depending on the number of the request for one.
fn broken(fault: impl Fn(usize) -> Option<Fault> + Send + Sync + 'static) -> Registry {
    let count = Arc::new(AtomicUsize::new(0));
    let registry = Registry::start_with(move |request: &Request| {
        let is_blob = request.target.contains("/blobs/");
        is_blob.then(|| count.fetch_add(1, Ordering::Relaxed)).and_then(&fault)
    });
    let content = bytes(5, 3 << 20);
    TestImage::new(Flavor::Oci, &[(&content, Compression::Gzip)]).store(&registry, "1");
    registry
}

fn pull(registry: &Registry) -> Vec<u8> {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("out");
    stdout_of(nix_image("pull", &name(registry, "1")).arg(&out));
    fs::read(out).unwrap()
}

#[test]
fn broken_downloads_go_on() {
    // The archive contains the registry's address.
    let length = pull(&broken(|_| None)).len();
    let registry = broken(|request| (1..4).contains(&request).then_some(Fault::CutAnswer(700_000)));
    assert_eq!(pull(&registry).len(), length);
    let ranges: Vec<_> = registry
        .requests()
        .into_iter()
        .filter_map(|mut request| request.headers.remove("range"))
        .collect();
    assert_eq!(ranges, ["bytes=700000-", "bytes=1400000-", "bytes=2100000-"]);
}

/// Some registries send the whole blob again.
#[test]
fn registries_without_ranges_send_everything_again() {
    let whole = compress(&bytes(5, 3 << 20), Compression::Gzip);
    let registry = broken(move |request| match request {
        1 => Some(Fault::CutAnswer(700_000)),
        2 => Some(Fault::Answer(200, vec![], whole.clone())),
        _ => None,
    });
    pull(&registry);
    assert_eq!(registry.requests().iter().filter(|r| r.target.contains("/blobs/")).count(), 3);
}

#[test]
fn downloads_that_break_without_end_fail() {
    let registry = broken(|request| (request > 0).then_some(Fault::CutAnswer(1000)));
    let folder = TempDir::new().unwrap();
    let mut pull = nix_image("pull", &name(&registry, "1"));
    let said = failure_of(pull.arg(folder.path().join("out")));
    assert!(said.contains("gave up after 5 attempts"), "{said}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn another_part_than_the_one_asked_for_is_refused() {
    let registry = broken(|request| match request {
        1 => Some(Fault::CutAnswer(1000)),
        2 => Some(Fault::Header("content-range", "bytes 0-9/10".into())),
        _ => None,
    });
    let folder = TempDir::new().unwrap();
    let mut pull = nix_image("pull", &name(&registry, "1"));
    let said = failure_of(pull.arg(folder.path().join("out")));
    assert!(said.contains("another part of the blob"), "{said}");
}
