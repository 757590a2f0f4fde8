//! Registries that lie: the error names the problem, no file is left behind, and little memory is
//! used.

use super::images::{CONFIG, REPOSITORY, TestImage, compress, name, nix_image, store_manifest};
use crate::support::registry::{Fault, Registry, Request};
use crate::support::{Python, failure_of, peak_memory, sha256, stdout_of};
use oci::{Compression, Descriptor, Flavor, Manifest};
use serde_json::{Value, json};
use std::fs;
use tempfile::TempDir;

/// The message of a failed pull, which must leave nothing behind.
fn refused(registry: &Registry, tag: &str) -> String {
    let folder = TempDir::new().unwrap();
    let mut pull = nix_image("pull", &name(registry, tag));
    let said = failure_of(pull.arg(folder.path().join("out")));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "something is left");
    said
}

/// The same with an image whose manifest was changed.
fn refused_with(change: impl FnOnce(&Registry, &mut Manifest)) -> String {
    let registry = Registry::start();
    let mut manifest = TestImage::usual().manifest(&registry);
    change(&registry, &mut manifest);
    store_manifest(&registry, "1", &manifest);
    refused(&registry, "1")
}

/// A layer that replaces the first one, but has its diffID.
fn with_layer(media_type: &str, blob: &[u8]) -> String {
    refused_with(|registry, manifest| {
        registry.set_blob(REPOSITORY, blob);
        manifest.layers[0] = Descriptor::of(media_type, blob);
    })
}

#[test]
fn layers_that_are_not_what_they_should_be_are_refused() {
    let gzip = Flavor::Oci.layer(Compression::Gzip);
    let whole = compress(&vec![7; 100_000], Compression::Gzip);
    let trailing = [compress(b"first layer", Compression::Gzip), b"more".to_vec()].concat();
    // A window of 2 GiB.
    let wide = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0, 0, 0];
    for (blob, expected) in [
        (&whole[..], "its diffID is sha256:"),
        (b"not compressed", "its diffID is sha256:"),
        (&whole[..whole.len() - 9], "its gzip data cannot be decompressed"),
        (&trailing, "its gzip data cannot be decompressed"),
        (&wide, "its zstd data cannot be decompressed"),
        (b"\xfd7zXZ\0broken", "its xz data cannot be decompressed"),
    ] {
        let said = with_layer(gzip, blob);
        assert!(said.contains("fetching layer 1, the blob sha256:"), "{said}");
        assert!(said.contains(expected), "{expected}: {said}");
    }
    let said = with_layer("text/plain", b"text");
    assert!(said.contains("its media type `text/plain` is not that of a layer"), "{said}");
}

#[test]
fn documents_that_contradict_each_other_are_refused() {
    for (change, expected) in [
        (
            Box::new(|manifest: &mut Manifest| drop(manifest.layers.pop()))
                as Box<dyn FnOnce(&mut Manifest)>,
            "has 1 layers, but 2 diff_ids",
        ),
        (Box::new(|manifest| manifest.layers.reverse()), "its diffID is sha256:"),
        (Box::new(|manifest| manifest.config.size = 1 << 40), "1099511627776 bytes"),
        (Box::new(|manifest| manifest.config.size += 1), "bytes, but the blob has"),
        (Box::new(|manifest| manifest.layers[1].size = u64::MAX), "bytes, but the blob has"),
        (
            Box::new(|manifest| manifest.config.media_type = "application/x.helm".into()),
            "is not an image but an artifact: its config is `application/x.helm`",
        ),
    ] {
        let said = refused_with(|_, manifest| change(manifest));
        assert!(said.contains(expected), "{expected}: {said}");
    }
    for config in ["[]", "{}", "null", r#"{"rootfs":{"diff_ids":["sha256:x","sha512:y"]}}"#] {
        let registry = Registry::start();
        let image = TestImage { config: config.into(), ..TestImage::usual() };
        image.store(&registry, "1");
        let said = refused(&registry, "1");
        assert!(said.contains("config"), "{config}: {said}");
    }
}

#[test]
fn what_is_not_an_image_is_named() {
    let registry = Registry::start();
    assert!(refused(&registry, "1").contains("the registry has no image `127.0.0.1"));
    let schema1 = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    registry.set_document(REPOSITORY, "1", schema1, br#"{"schemaVersion":1,"fsLayers":[]}"#);
    assert!(refused(&registry, "1").contains("a manifest of schema 1"));

    let index = |platform: &Value, inner: Descriptor| {
        let mut entry = inner.to_value();
        entry["platform"] = platform.clone();
        json!({"schemaVersion": 2, "mediaType": Flavor::Oci.index(), "manifests": [entry]})
            .to_string()
    };
    let manifest = TestImage::usual().manifest(&registry).to_json();
    let manifest = Descriptor::of(Flavor::Oci.manifest(), manifest.as_bytes());
    let other = json!({"os": "plan9", "architecture": "mips"});
    let inner = index(&other, manifest);
    registry.set_document(REPOSITORY, "2", Flavor::Oci.index(), inner.as_bytes());
    let said = refused(&registry, "2");
    assert!(said.contains("has no image for linux/"), "{said}");
    assert!(said.contains("it has those for plan9/mips"), "{said}");

    let mut outer = json!({"schemaVersion": 2, "manifests": []});
    let entry = Descriptor::of(Flavor::Oci.index(), inner.as_bytes()).to_value();
    outer["manifests"] = json!([entry]);
    registry.set_document(REPOSITORY, "3", Flavor::Oci.index(), outer.to_string().as_bytes());
    assert!(refused(&registry, "3").contains("is an index of indexes"));
}

#[test]
fn foreign_layers_are_taken_where_the_registry_has_them() {
    let registry = Registry::start();
    let mut manifest = TestImage::usual().manifest(&registry);
    let foreign = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip";
    manifest.layers[0].media_type = foreign.into();
    store_manifest(&registry, "1", &manifest);
    let folder = TempDir::new().unwrap();
    let mut pull = nix_image("pull", &name(&registry, "1"));
    stdout_of(pull.arg(folder.path().join("out")));
    registry.remove_blob(REPOSITORY, &manifest.layers[0].digest.to_string());
    assert!(refused(&registry, "1").contains("it is a foreign layer"));
}

#[test]
fn answers_that_lie_are_refused() {
    let first = sha256(&compress(b"first layer", Compression::Gzip));
    let length = compress(b"first layer", Compression::Gzip).len();
    for (fault, expected) in [
        (Fault::Answer(200, vec![], vec![b'x'; length]), "diffID"),
        (Fault::Answer(200, vec![], vec![b'x'; length + 1]), "bytes, but the blob has"),
        (Fault::Endless(vec![]), "it has more than the blob's"),
        (
            Fault::Answer(
                307,
                vec![("location", format!("/v2/{REPOSITORY}/blobs/sha256:{first}"))],
                vec![],
            ),
            "too many redirects",
        ),
        (Fault::Answer(302, vec![("location", "file:///etc/passwd".into())], vec![]), "status 404"),
    ] {
        let (shown, target) = (format!("{fault:?}"), format!("/blobs/sha256:{first}"));
        let registry = Registry::start_with(move |request: &Request| {
            request.target.ends_with(&target).then(|| fault.clone())
        });
        TestImage::usual().store(&registry, "1");
        let said = refused(&registry, "1");
        assert!(said.contains(expected), "{shown}: {said}");
    }
}

/// The blob is a different one, though its content is right.
#[test]
fn a_blob_of_another_digest_is_refused() {
    let mut other = compress(b"first layer", Compression::Gzip);
    // The header's time.
    other[4] ^= 1;
    let first = sha256(&compress(b"first layer", Compression::Gzip));
    let registry = Registry::start_with(move |request: &Request| {
        let is_first = request.target.ends_with(&first);
        is_first.then(|| Fault::Answer(200, vec![], other.clone()))
    });
    TestImage::usual().store(&registry, "1");
    let said = refused(&registry, "1");
    assert!(said.contains("the registry sent other bytes for that digest"), "{said}");
}

#[test]
fn a_manifest_of_another_digest_is_refused() {
    let registry = Registry::start_with(|request: &Request| {
        let is_manifest = request.target.contains("/manifests/sha256:");
        is_manifest.then(|| Fault::Answer(200, vec![], CONFIG.into()))
    });
    let digest = TestImage::usual().store(&registry, "1");
    assert!(refused(&registry, &digest).contains("instead of"));
}

/// Zeros: a gigabyte of them compresses to a megabyte.
#[test]
fn bombs_take_little_memory() {
    let registry = Registry::start();
    let zeros = vec![0; 200 << 20];
    let layers = [(&zeros[..], Compression::Gzip), (&zeros[1..], Compression::Zstd)];
    TestImage::new(Flavor::Oci, &layers).store(&registry, "1");
    let folder = TempDir::new().unwrap();
    let mut pull = nix_image("pull", &name(&registry, "1"));
    pull.arg(folder.path().join("out"));
    let kilobytes = peak_memory::of(&mut Python::start(peak_memory::SCRIPT), &pull);
    assert!(kilobytes < 48 << 10, "pulling took {kilobytes} kB of memory");
}
