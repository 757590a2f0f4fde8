//! The traffic of a push: no more than what changed.

use super::images::{Fixture, bytes, said};
use crate::support::layout::{Form, Layout};
use crate::support::registry::{Fault, Registry};
use crate::support::{failure_of, sha256, stdout_of};
use serde_json::json;

#[test]
fn the_first_push_brings_the_image_that_the_stream_has() {
    let mut image = Fixture::new(3, true);
    // Large enough to be sent while it is compressed, and small enough to be compressed first.
    image.add("large", &bytes(77, 18 << 20));
    image.add("held", &bytes(78, 6 << 20));
    let registry = Registry::start();
    let said = said(&mut image.push(&registry.name("me/app:1")));
    assert!(said.contains("6 of 6 layers"), "{said}");
    registry.check("me/app", "1");
    let manifest = registry.manifest("me/app", "1").unwrap();
    let config = manifest["config"]["digest"].as_str().unwrap();
    assert_eq!(registry.blob("me/app", config).unwrap(), image.config());
    let patches = registry.requests().iter().filter(|r| r.method == "PATCH").count();
    assert_eq!(patches, 1);
}

#[test]
fn what_is_pushed_is_named_by_digest_on_standard_output() {
    let image = Fixture::new(1, false);
    let registry = Registry::start();
    let name = registry.name("me/app");
    let out = stdout_of(image.push(&format!("{name}:1")).arg(format!("{name}:2")));
    let digest = String::from_utf8(out).unwrap();
    let digest = digest.trim_end().strip_prefix(&format!("{name}@")).unwrap().to_owned();
    for tag in ["1", "2", &digest] {
        assert!(registry.manifest("me/app", tag).is_some(), "{tag}");
    }
}

#[test]
fn a_name_with_a_digest_is_refused_before_anything_is_sent() {
    let image = Fixture::new(1, false);
    let registry = Registry::start();
    let name = registry.name("me/app:1");
    let error = failure_of(&mut image.push(&format!("{name}@sha256:{}", sha256(b"x"))));
    assert!(error.contains("push to a tag"), "{error}");
    assert!(registry.requests().is_empty());
}

#[test]
fn a_second_push_sends_nothing_and_reads_nothing() {
    let image = Fixture::new(20, true);
    let registry = Registry::start();
    let name = registry.name("me/app:1");
    said(&mut image.push(&name));
    let manifest = registry.manifest("me/app", "1");
    registry.requests();
    // With an empty store and an empty cache.
    let text = said(&mut image.push_from_nowhere(&name));
    assert!(text.contains("0 of 21 layers, 0 bytes of"), "{text}");
    assert_eq!(registry.sent(), (0, 0));
    assert_eq!(registry.manifest("me/app", "1"), manifest);
    // From the cache, and after hashing again without NAR hashes.
    said(&mut image.push(&name));
    assert_eq!(registry.sent(), (0, 0));
    let plain = Fixture::new(20, false);
    said(&mut plain.push(&name));
    assert_eq!(registry.sent(), (0, 0));
}

/// If the conf has no NAR hashes, like those of nixpkgs, they come from Nix's database.
#[test]
fn nixs_database_spares_the_look_at_unchanged_layers() {
    let mut image = Fixture::new(5, false);
    image.register();
    let registry = Registry::start();
    let name = registry.name("me/app:1");
    said(&mut image.push(&name));
    let manifest = registry.manifest("me/app", "1");
    let hashed = Fixture::new(5, true);
    said(&mut hashed.push(&registry.name("me/hashed:1")));
    assert_eq!(manifest, registry.manifest("me/hashed", "1"), "as if the conf had them");
    // Nothing below the roots is read, so it goes unnoticed that this file is gone.
    std::fs::remove_file(image.file(2)).unwrap();
    image.forget();
    registry.requests();
    said(&mut image.push(&name));
    assert_eq!(registry.sent(), (0, 0));
    assert_eq!(registry.manifest("me/app", "1"), manifest);
    // A path that is not in the database is hashed.
    image.change(3);
    let text = said(&mut image.push(&name));
    assert!(text.contains("1 of 6 layers"), "{text}");
}

#[test]
fn one_changed_path_costs_its_layer_and_the_documents() {
    for nar_hashes in [true, false] {
        let mut image = Fixture::new(20, nar_hashes);
        let registry = Registry::start();
        let name = registry.name("me/app:1");
        said(&mut image.push(&name));
        registry.requests();
        for forget in [false, true] {
            if forget {
                image.forget();
            }
            image.change(if forget { 7 } else { 3 });
            let text = said(&mut image.push(&name));
            assert!(text.contains("1 of 21 layers"), "{text}");
            let (blobs, bytes) = registry.sent();
            assert_eq!(blobs, 2, "a layer and the config");
            assert!(bytes < 40_000, "{bytes}");
            registry.check("me/app", "1");
        }
    }
}

#[test]
fn only_the_changed_path_has_to_be_in_the_store() {
    let mut image = Fixture::new(20, true);
    let registry = Registry::start();
    let name = registry.name("me/app:1");
    said(&mut image.push(&name));
    image.forget();
    image.change(5);
    for layer in (0..20).filter(|layer| *layer != 5) {
        std::fs::remove_file(image.file(layer)).unwrap();
    }
    said(&mut image.push(&name));
    registry.check("me/app", "1");
}

#[test]
fn layers_of_other_repositories_are_mounted() {
    let image = Fixture::new(4, true);
    let registry = Registry::start();
    let first = registry.name("me/first:1");
    said(&mut image.push(&first));
    registry.requests();
    said(image.push_from_nowhere(&registry.name("me/second:1")).arg("--cache-from").arg(&first));
    assert_eq!(registry.sent().0, 1, "the config");
    registry.check("me/second", "1");
    // What one call pushes to one repository is not sent again to the next.
    let other = Fixture::new(5, true);
    let (a, b) = (registry.name("me/third:1"), registry.name("me/fourth:1"));
    said(other.push(&a).arg(&b));
    assert_eq!(registry.sent().0, 6 + 2, "the layers once, the config twice");
    registry.check("me/fourth", "1");
}

/// Without `--cache-from`: the cache remembers which repository has a blob.
#[test]
fn layers_that_another_push_sent_are_mounted() {
    let image = Fixture::new(4, true);
    let registry = Registry::start();
    said(&mut image.push(&registry.name("me/first:1")));
    registry.requests();
    for repository in ["me/second", "you/third"] {
        let text = said(&mut image.push(&registry.name(&format!("{repository}:1"))));
        assert!(text.contains("0 of 5 layers, 0 bytes of"), "{text}");
        assert_eq!(registry.sent().0, 1, "the config");
        registry.check(repository, "1");
    }
    // Another registry has none of them, and without a cache nothing is remembered.
    let other = Registry::start();
    said(&mut image.push(&other.name("me/second:1")));
    assert_eq!(other.sent().0, 5 + 1);
    said(image.push(&registry.name("me/fourth:1")).arg("--no-cache"));
    assert_eq!(registry.sent().0, 5 + 1);
}

/// Registries that begin an upload instead of mounting, refuse to mount, or fail at it.
#[test]
fn layers_that_cannot_be_mounted_are_sent() {
    for status in [202, 403, 501] {
        let image = Fixture::new(2, true);
        let registry = Registry::start_with(move |request| {
            request.target.contains("mount=").then(|| Fault::Answer(status, vec![], vec![]))
        });
        said(&mut image.push(&registry.name("me/first:1")));
        let text = said(&mut image.push(&registry.name("me/second:1")));
        assert!(text.contains("3 of 3 layers"), "{status}: {text}");
        registry.check("me/second", "1");
    }
}

/// The push itself needs no right to read the other repository.
#[test]
fn a_login_that_may_not_read_the_other_repository_sends() {
    let registry = Registry::start_with(|request| {
        if request.target.starts_with("/token") {
            let status = if request.target.ends_with("me/first%3Apull") { 403 } else { 200 };
            return Some(Fault::Answer(status, vec![], br#"{"token":"t"}"#.to_vec()));
        }
        let is_authorized = request.headers.get("authorization").is_some_and(|it| it == "Bearer t");
        let realm = format!("Bearer realm=\"http://{}/token\"", request.headers["host"]);
        let challenge = vec![("www-authenticate", realm)];
        (!is_authorized).then_some(Fault::Answer(401, challenge, vec![]))
    });
    let image = Fixture::new(2, true);
    said(&mut image.push(&registry.name("me/first:1")));
    let text = said(&mut image.push(&registry.name("me/second:1")));
    assert!(text.contains("3 of 3 layers"), "{text}");
    registry.check("me/second", "1");
    let asked = registry.requests();
    assert!(asked.iter().any(|request| request.target.ends_with("me/first%3Apull")));
}

#[test]
fn a_registry_without_mounts_gets_what_it_lacks() {
    let image = Fixture::new(2, true);
    let registry = Registry::start_with(|request| {
        let mount = request.target.contains("mount=");
        mount.then(|| Fault::Answer(405, vec![], vec![]))
    });
    let first = registry.name("me/first:1");
    said(&mut image.push(&first));
    said(image.push(&registry.name("me/second:1")).arg("--cache-from").arg(&first));
    registry.check("me/second", "1");
}

#[test]
fn without_cache_nothing_is_believed() {
    let image = Fixture::new(2, true);
    let registry = Registry::start();
    let name = registry.name("me/app:1");
    said(&mut image.push(&name));
    registry.requests();
    let error = failure_of(image.push_from_nowhere(&name).arg("--no-cache"));
    assert!(error.contains("does not exist"), "{error}");
    said(image.push(&name).arg("--no-cache"));
    let requests = registry.requests();
    assert!(!requests.iter().any(|r| r.method == "GET" && r.target.contains("manifests")));
}

#[test]
fn a_key_that_disagrees_with_what_is_found_is_an_error() {
    let image = Fixture::new(3, true);
    let registry = Registry::start();
    let name = registry.name("me/app:1");
    said(&mut image.push(&name));
    let before = registry.manifest("me/app", "1").unwrap();
    // The path has different content here than where it was pushed from, with the same NAR hash.
    image.forget();
    std::fs::write(image.file(1), b"changed in place").unwrap();
    registry.remove_blob("me/app", before["layers"][1]["digest"].as_str().unwrap());
    let error = failure_of(&mut image.push(&name));
    assert!(error.contains("layer 2") && error.contains("--no-cache"), "{error}");
    assert_eq!(registry.manifest("me/app", "1").unwrap(), before);
    said(image.push(&name).arg("--no-cache"));
    registry.check("me/app", "1");
}

/// A layer that was pushed with a damaged file is detected once Nix has replaced the tree.
#[test]
fn a_path_that_was_repaired_is_read_again() {
    let image = Fixture::new(3, true);
    let registry = Registry::start();
    let name = registry.name("me/app:1");
    let good = std::fs::read(image.file(1)).unwrap();
    // The other tree exists at the same time, so that it has another inode.
    let replace = |content: &[u8]| {
        let root = image.file(1).parent().unwrap().to_owned();
        let new = image.store.place("/new");
        std::fs::create_dir(&new).unwrap();
        std::fs::write(new.join("file"), content).unwrap();
        std::fs::rename(&root, image.store.place("/old")).unwrap();
        std::fs::rename(&new, &root).unwrap();
        std::fs::remove_dir_all(image.store.place("/old")).unwrap();
    };
    std::fs::write(image.file(1), vec![0; good.len()]).unwrap();
    said(&mut image.push(&name));
    registry.requests();
    said(&mut image.push(&name));
    assert_eq!(registry.sent(), (0, 0));
    replace(&good);
    let error = failure_of(&mut image.push(&name));
    assert!(error.contains("layer 2") && error.contains("--no-cache"), "{error}");
    said(image.push(&name).arg("--no-cache"));
    // Fetched again, it is the same; this is checked once.
    replace(&good);
    registry.requests();
    for _ in 0..2 {
        said(&mut image.push(&name));
        assert_eq!(registry.sent(), (0, 0));
    }
    let manifest = registry.manifest("me/app", "1").unwrap();
    let config = registry.blob("me/app", manifest["config"]["digest"].as_str().unwrap());
    assert_eq!(config.unwrap(), image.config());
    // A cache from another machine says nothing about the trees here, which are not read either.
    std::fs::rename(image.store.place("/cache"), image.store.place("/carried")).unwrap();
    stdout_of(
        std::process::Command::new("cp")
            .arg("-r")
            .args(["carried", "cache"])
            .current_dir(image.store.root()),
    );
    replace(b"never read");
    said(&mut image.push(&name));
    assert_eq!(registry.sent(), (0, 0));
}

#[test]
fn several_confs_become_one_index() {
    let image = Fixture::new(2, true);
    let arm = image.conf_with(|conf| conf["architecture"] = json!("arm64"));
    let registry = Registry::start();
    let name = registry.name("me/app:1");
    let mut push = image.push(&name);
    push.arg("--platform-conf").arg(&arm);
    // What they have in common is sent once.
    let text = said(&mut push);
    assert!(text.contains("3 of 6 layers"), "{text}");
    let index = registry.manifest("me/app", "1").unwrap();
    let platforms: Vec<_> = index["manifests"].as_array().unwrap().iter().collect();
    assert_eq!(platforms[0]["platform"], json!({"architecture": "amd64", "os": "linux"}));
    assert_eq!(platforms[1]["platform"], json!({"architecture": "arm64", "os": "linux"}));
    for entry in platforms {
        registry.check("me/app", entry["digest"].as_str().unwrap());
    }
    registry.requests();
    said(&mut push);
    assert_eq!(registry.sent(), (0, 0));
    let arm = arm.to_str().unwrap();
    let mut twice = image.push_with(&[arm, &name, "--platform-conf", arm]);
    assert!(failure_of(&mut twice).contains("two of the images are for arm64"));
}

#[test]
fn the_layers_are_compressed_as_asked() {
    let image = Fixture::new(2, false);
    for (compression, format, media_type) in [
        ("none", "oci", "application/vnd.oci.image.layer.v1.tar"),
        ("gzip", "oci", "application/vnd.oci.image.layer.v1.tar+gzip"),
        ("zstd", "oci", "application/vnd.oci.image.layer.v1.tar+zstd"),
        ("gzip", "docker", "application/vnd.docker.image.rootfs.diff.tar.gzip"),
    ] {
        let registry = Registry::start();
        let mut push = image.push(&registry.name("me/app:1"));
        said(push.args(["--compression", compression, "--format", format]));
        registry.check("me/app", "1");
        let manifest = registry.manifest("me/app", "1").unwrap();
        let layers = manifest["layers"].as_array().unwrap();
        assert!(layers.iter().all(|layer| layer["mediaType"] == media_type), "{manifest}");
        let config = manifest["config"]["digest"].as_str().unwrap();
        assert_eq!(config, format!("sha256:{}", sha256(&image.config())));
    }
    let registry = Registry::start();
    for (arguments, reason) in [
        (["--compression", "gzip", "--level", "13"], "1 to 12"),
        (["--compression", "none", "--level", "1"], "--level"),
    ] {
        let error = failure_of(image.push(&registry.name("me/app:1")).args(arguments));
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn the_manifest_says_what_the_image_says_of_itself() {
    let image = Fixture::new(1, true);
    let conf = image.conf_with(|conf| {
        conf["created"] = json!("2020-01-02T03:04:05Z");
        conf["config"]["Labels"] = json!({
            "org.opencontainers.image.source": "https://example.org/app",
            "org.opencontainers.image.version": "1",
            "other": "x",
        });
    });
    let registry = Registry::start();
    let name = registry.name("me/app:1");
    let push = |arguments: &[&str]| {
        let mut push = image.push_with(&[conf.to_str().unwrap(), &name]);
        push.args(arguments);
        push
    };
    let more = ["--annotation", "org.opencontainers.image.version=2=b", "--annotation", "a="];
    said(&mut push(&more));
    let manifest = registry.manifest("me/app", "1").unwrap();
    let expected = json!({
        "a": "",
        "org.opencontainers.image.created": "2020-01-02T03:04:05+00:00",
        "org.opencontainers.image.source": "https://example.org/app",
        "org.opencontainers.image.version": "2=b",
    });
    assert_eq!(manifest["annotations"], expected);
    said(&mut push(&more));
    assert_eq!(registry.manifest("me/app", "1").unwrap().to_string(), manifest.to_string());

    // An index has the annotations that the user gives.
    let arm = image.conf_with(|conf| conf["architecture"] = json!("arm64"));
    said(push(&more[2..]).arg("--platform-conf").arg(arm));
    let index = registry.manifest("me/app", "1").unwrap();
    assert_eq!(index["annotations"], json!({"a": ""}));
    let first = registry.manifest("me/app", index["manifests"][0]["digest"].as_str().unwrap());
    assert_eq!(first.unwrap()["annotations"]["org.opencontainers.image.version"], "1");

    let error = failure_of(&mut push(&["--format", "docker", "--annotation", "a=b"]));
    assert!(error.contains("--format oci"), "{error}");
    for bad in ["a", "=b"] {
        let wrong = push(&["--annotation", bad]).output().unwrap();
        let error = String::from_utf8_lossy(&wrong.stderr);
        assert!(wrong.status.code() == Some(2) && error.contains("expected KEY=VALUE"), "{error}");
    }
}

#[test]
fn layers_keep_their_keys_when_the_conf_has_none() {
    let (image, plain) = (Fixture::new(3, true), Fixture::new(3, false));
    let registry = Registry::start();
    let name = registry.name("me/app:1");
    said(&mut image.push(&name));
    let manifest = registry.manifest("me/app", "1").unwrap();
    assert!(manifest["layers"][1]["annotations"]["nix-image.layer-key"].is_string());
    said(&mut plain.push(&name));
    assert_eq!(registry.manifest("me/app", "1").unwrap(), manifest);
    // The NAR hashes alone must still be enough.
    assert!(said(&mut image.push_from_nowhere(&name)).contains("0 of 4 layers"));
    // What is not trusted is not passed on either.
    said(plain.push(&name).arg("--no-cache"));
    let without = registry.manifest("me/app", "1").unwrap();
    assert!(without["layers"][1]["annotations"]["nix-image.layer-key"].is_null());
}

/// The layers of a base image that is a layout keep their form, and a registry that has them is
/// sent none.
#[test]
fn blobs_of_a_base_layout_are_sent_only_where_they_are_missing() {
    let image = Fixture::new(1, false);
    let tar = |seed| {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(50_000);
        builder.append_data(&mut header, "file", &bytes(seed, 50_000)[..]).unwrap();
        builder.into_inner().unwrap()
    };
    let layers = [(Form::Gzip, tar(1)), (Form::Zstd, tar(2))];
    let mut layout = Layout::default();
    let of_base: Vec<_> = layers.iter().map(|(form, tar)| (*form, &**tar)).collect();
    let base = layout.image(&of_base, &[]);
    layout.entry(base, None);
    let place = image.store.root().join("layout");
    layout.write(&place);
    let conf = image.conf_with(|conf| conf["from_image"] = json!(place));
    let blobs: Vec<_> = layers.iter().map(|(form, tar)| form.pack(tar)).collect();
    for (registry, is_there) in [(Registry::start(), true), (Registry::start(), false)] {
        if is_there {
            for blob in &blobs {
                registry.set_blob("me/app", blob);
            }
        }
        let name = registry.name("me/app:1");
        said(&mut image.push_with(&[conf.as_os_str(), name.as_ref()]));
        registry.check("me/app", "1");
        let manifest = registry.manifest("me/app", "1").unwrap();
        for ((layer, blob), (form, _)) in
            manifest["layers"].as_array().unwrap().iter().zip(&blobs).zip(&layers)
        {
            assert_eq!(layer["digest"], format!("sha256:{}", sha256(blob)));
            assert_eq!(layer["mediaType"], form.media_type());
        }
        let requests = registry.requests();
        for blob in &blobs {
            let sent = requests.iter().any(|request| request.body == *blob);
            assert_eq!(sent, !is_there);
        }
        said(&mut image.push_with(&[conf.as_os_str(), name.as_ref()]));
        assert_eq!(registry.sent(), (0, 0));
    }
}

#[test]
fn the_layers_of_a_pushed_image_are_those_of_its_conf() {
    let image = Fixture::new(3, true);
    let conf = image.conf();
    let registry = Registry::start();
    let name = registry.name("me/app:1");
    said(&mut image.push(&name));
    let layers = |image: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_nix-image"));
        command.args(["layers", image]).output().unwrap()
    };
    let expected = layers(conf.to_str().unwrap());
    assert!(expected.stdout.len() > 20, "{expected:?}");
    assert_eq!(layers(&name).stdout, expected.stdout);

    // Without annotations, the history has this information.
    said(image.push(&name).args(["--format", "docker", "--no-cache"]));
    assert_eq!(layers(&name).stdout, expected.stdout);

    let error = String::from_utf8(layers(&registry.name("me/app:2")).stderr).unwrap();
    assert!(error.contains("the registry has no image"), "{error}");
}
