//! Archives equal skopeo's, byte for byte.

use super::images::{CONFIG, REPOSITORY, TestImage, name, nix_image, store_manifest};
use crate::support::docker_registry::DockerRegistry;
use crate::support::registry::Registry;
use crate::support::{command, need, stdout_of};
use oci::{Compression, Descriptor, Flavor};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRng, TestRunner};
use serde_json::json;
use std::fs;
use tempfile::TempDir;

use Compression::{Gzip, None as Plain, Zstd};

/// What skopeo writes for an image under a name.
fn theirs(image: &str, final_name: &str, overrides: &[&str]) -> Vec<u8> {
    let folder = TempDir::new().unwrap();
    let archive = folder.path().join("archive");
    let mut skopeo = command("skopeo", &["--insecure-policy"]);
    skopeo.args(overrides).args(["copy", "-q", "--src-tls-verify=false"]);
    skopeo.arg(format!("docker://{image}"));
    skopeo.arg(format!("docker-archive:{}:{final_name}", archive.display()));
    stdout_of(skopeo.env("HOME", "/nonexistent"));
    fs::read(archive).unwrap()
}

/// What we write.
fn ours(image: &str, final_name: &str, options: &[&str]) -> Vec<u8> {
    let folder = TempDir::new().unwrap();
    let archive = folder.path().join("archive");
    let (name, tag) = final_name.rsplit_once(':').unwrap();
    let mut pull = nix_image("pull", image);
    pull.arg(&archive).args(["--final-name", name, "--final-tag", tag]).args(options);
    stdout_of(&mut pull);
    fs::read(archive).unwrap()
}

fn same(ours: &[u8], theirs: &[u8]) -> Result<(), String> {
    if ours == theirs {
        return Ok(());
    }
    let at = ours.iter().zip(theirs).position(|(ours, theirs)| ours != theirs);
    Err(format!("{} and {} bytes differ from {at:?} on", ours.len(), theirs.len()))
}

fn tar(name: &str, content: &[u8]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    builder.append_data(&mut header, name, content).unwrap();
    builder.into_inner().unwrap()
}

/// Configs that each have a different unusual value.
const ODD_CONFIGS: [&str; 5] = [
    CONFIG,
    "  {\"os\":\"linux\",\"os\" : \"other\",\t\"rootfs\":{\"diff_ids\":DIFF_IDS,\"type\":\"layers\"},\
     \"Config\":{\"a\":1},\"created\":null}\n\n",
    "{\"architecture\":\"arm64\",\"config\":{\"Labels\":{\"b\":\"<a href=\\\"x&y\\\">\u{2028}ü\",\
     \"a\":\"\\u003c\\u00FC\\/\\ud800\"}, \"n\" : [ 1.50, -0, 1e400, 123456789012345678901234567890 ]},\
     \"os\":\"linux\",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":DIFF_IDS}}",
    "{\"container\":\"c\",\"container_config\":{\"z\":{},\"a\":[ ]},\"docker_version\":\"20\",\
     \"created\":\"2020-01-01T00:00:00.123456789Z\",\"\\u006fs\":\"escaped\",\
     \"rootfs\":{\"type\":\"layers\",\"diff_ids\":DIFF_IDS},\"history\":[{\"empty_layer\":true}]}",
    "{\"rootfs\":{\"diff_ids\":DIFF_IDS}}",
];

#[test]
fn archives_are_those_of_skopeo() {
    need("skopeo");
    let registry = Registry::start();
    let (small, large) = (tar("a", b"content"), tar("b", &vec![7; 700_000]));
    let (small, large) = (&small[..], &large[..]);
    for (case, (flavor, layers)) in [
        (Flavor::Oci, &[(small, Gzip), (large, Plain)][..]),
        (Flavor::Docker, &[(small, Gzip), (large, Plain)]),
        // Also repeated in another compression.
        (Flavor::Docker, &[(small, Gzip), (large, Gzip), (small, Gzip), (small, Plain)]),
        (Flavor::Oci, &[(b"", Gzip), (small, Gzip), (b"", Plain)]),
        (Flavor::Docker, &[]),
        (Flavor::Oci, &[]),
    ]
    .into_iter()
    .enumerate()
    {
        for (odd, config) in ODD_CONFIGS.iter().enumerate() {
            let tag = format!("{case}-{odd}");
            let image = TestImage { config: (*config).into(), ..TestImage::new(flavor, layers) };
            let digest = image.store(&registry, &tag);
            for image in [name(&registry, &tag), name(&registry, &digest)] {
                same(&ours(&image, "x:1", &[]), &theirs(&image, "x:1", &[]))
                    .unwrap_or_else(|problem| panic!("{tag}: {problem}"));
            }
        }
    }
}

/// Debian's skopeo makes no archives of zstd layers. The archive depends only on their content.
#[test]
fn layers_with_zstd_are_as_those_with_gzip() {
    need("skopeo");
    let registry = Registry::start();
    let layers = [tar("a", b"content"), tar("b", &vec![7; 700_000])];
    let image = |tag: &str, compressions: [Compression; 2]| {
        let layers = [(&*layers[0], compressions[0]), (&*layers[1], compressions[1])];
        TestImage::new(Flavor::Oci, &layers).store(&registry, tag);
        name(&registry, tag)
    };
    let theirs = theirs(&image("gzip", [Gzip, Gzip]), "x:1", &[]);
    for (tag, compressions) in [("zstd", [Zstd, Zstd]), ("mixed", [Zstd, Plain])] {
        same(&ours(&image(tag, compressions), "x:1", &[]), &theirs).unwrap();
    }
}

#[test]
fn names_are_those_of_skopeo() {
    need("skopeo");
    let registry = Registry::start();
    TestImage::usual().store(&registry, "1");
    let image = name(&registry, "1");
    for final_name in [
        "x:latest",
        "me/app:V_1.0-x",
        "docker.io/x:1",
        "index.docker.io/x:1",
        "registry-1.docker.io/library/x:1",
        "localhost/x:1",
        "localhost:5000/a/b__c/d-e:1",
        "ghcr.io/a/b:1",
    ] {
        same(&ours(&image, final_name, &[]), &theirs(&image, final_name, &[]))
            .unwrap_or_else(|problem| panic!("{final_name}: {problem}"));
    }
}

#[test]
fn of_an_index_the_image_is_the_one_that_skopeo_takes() {
    need("skopeo");
    let registry = Registry::start();
    for flavor in [Flavor::Oci, Flavor::Docker] {
        let platforms = [
            "linux/amd64",
            "linux/arm64/v8",
            "linux/arm/v5",
            "linux/arm/v7",
            "linux/arm/v6",
            "windows/amd64",
            "linux/s390x",
            "linux/amd64/v3",
        ];
        let manifests = platforms.map(|platform| {
            let mut image = TestImage::usual();
            image.flavor = flavor;
            image.config = CONFIG.replace("\"x\"", &format!("\"{platform}\""));
            let manifest = image.manifest(&registry);
            store_manifest(&registry, &platform.replace('/', "-"), &manifest);
            let json = manifest.to_json();
            let mut entry = Descriptor::of(flavor.manifest(), json.as_bytes()).to_value();
            let mut parts = platform.split('/');
            entry["platform"] = json!({"os": parts.next(), "architecture": parts.next()});
            if let Some(variant) = parts.next() {
                entry["platform"]["variant"] = variant.into();
            }
            entry
        });
        let index = json!({"schemaVersion": 2, "mediaType": flavor.index(),
            "manifests": manifests});
        let index = index.to_string();
        let digest = registry.set_document(REPOSITORY, "index", flavor.index(), index.as_bytes());
        let image = name(&registry, &digest);
        let mut archives = Vec::new();
        for platform in [
            "linux/amd64",
            "linux/arm64",
            "linux/arm",
            "linux/arm/v6",
            "windows/amd64",
            "linux/amd64/v3",
        ] {
            let parts: Vec<_> = platform.split('/').collect();
            let mut options = vec!["--os", parts[0], "--arch", parts[1]];
            let mut overrides = vec!["--override-os", parts[0], "--override-arch", parts[1]];
            if let Some(variant) = parts.get(2) {
                options.extend(["--variant", variant]);
                overrides.extend(["--override-variant", variant]);
            }
            let ours = ours(&image, "x:1", &options);
            same(&ours, &theirs(&image, "x:1", &overrides))
                .unwrap_or_else(|problem| panic!("{platform}: {problem}"));
            assert!(!archives.contains(&ours), "{platform} is another one's");
            archives.push(ours);
        }
    }
}

/// Debian's registry, which supports ranges, and treats manifests in its own way.
#[test]
fn a_real_registry_gives_the_same() {
    need("skopeo");
    let registry = DockerRegistry::start();
    let source = Registry::start();
    let large = tar("b", &vec![7; 3_000_000]);
    for flavor in [Flavor::Oci, Flavor::Docker] {
        let layers = [(&large[..], Gzip), (b"", Gzip), (&large[..], Gzip)];
        TestImage::new(flavor, &layers).store(&source, "1");
        let image = format!("{}/{REPOSITORY}:1", registry.address);
        let mut copy = command("skopeo", &["--insecure-policy", "copy", "-q"]);
        copy.args(["--src-tls-verify=false", "--dest-tls-verify=false", "--preserve-digests"]);
        copy.args([format!("docker://{}", name(&source, "1")), format!("docker://{image}")]);
        stdout_of(copy.env("HOME", "/nonexistent"));
        same(&ours(&image, "x:1", &[]), &theirs(&image, "x:1", &[])).unwrap();
    }
}

fn image() -> impl Strategy<Value = TestImage> {
    let tar = prop_oneof![
        // Only a few, so that some occur twice.
        2 => (0_usize..3).prop_map(|content| tar("same", &[content as u8; 600])),
        2 => (0_usize..200_000, any::<u8>()).prop_map(|(size, byte)| tar("some", &vec![byte; size])),
        1 => prop::collection::vec(any::<u8>(), 0..2000),
    ];
    // Content that begins like compressed data would be mistaken for it, by skopeo as well.
    let tar = tar.prop_filter("compressed", |tar| {
        tar.first().is_none_or(|byte| ![0x1f, 0x28, b'B', 0xfd].contains(byte))
    });
    let layers = prop::collection::vec((tar, select(vec![Gzip, Plain])), 0..6);
    let value = prop_oneof![
        "[ -~ü\u{2028}\u{1f600}]{0,20}".prop_map(|text| json!(text).to_string()),
        "-?[1-9][0-9]{0,30}(\\.[0-9]{1,20})?([eE][-+]?[0-9]{1,3})?",
        Just("[ ]".to_owned()),
        Just("null".to_owned()),
        "[a-z<>]{0,5}"
            .prop_map(|key| format!("{{ \"{key}\" : [true,\n{{}}], \"a\":\"\\u0026\" }}")),
    ];
    let key = select(vec![
        "architecture",
        "os",
        "config",
        "container",
        "container_config",
        "created",
        "docker_version",
        "history",
        "id",
        "parent",
        "layer_id",
        "x<y",
    ]);
    let fields = prop::collection::vec((key, value), 0..9).prop_map(|fields| {
        let fields: Vec<_> =
            fields.iter().map(|(key, value)| format!("\"{key}\" :{value} ,")).collect();
        format!("{{{}\"rootfs\":{{\"diff_ids\":DIFF_IDS}}}}", fields.concat())
    });
    let flavor = select(vec![Flavor::Oci, Flavor::Docker]);
    (flavor, layers, fields).prop_map(|(flavor, layers, config)| TestImage {
        flavor,
        layers,
        config,
    })
}

#[test]
fn made_up_images_are_archived_as_by_skopeo() {
    need("skopeo");
    let registry = Registry::start();
    let config =
        Config { cases: 60, max_shrink_iters: 60, failure_persistence: None, ..Config::default() };
    let algorithm = config.rng_algorithm;
    let generator = TestRng::deterministic_rng(algorithm);
    let names = ("[a-z]{1,5}(/[a-z0-9]{1,5}){0,2}", "[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,9}");
    TestRunner::new_with_rng(config, generator)
        .run(&(image(), names), |(image, (repository, tag))| {
            image.store(&registry, "random");
            let (image, final_name) = (name(&registry, "random"), format!("{repository}:{tag}"));
            same(&ours(&image, &final_name, &[]), &theirs(&image, &final_name, &[]))
                .map_err(TestCaseError::fail)
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}
