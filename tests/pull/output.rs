//! The destinations of archives, and the output of `prefetch` and `lock`.

use super::images::{REPOSITORY, TestImage, name, nix_image, store_manifest};
use crate::support::engines;
use crate::support::registry::{Fault, Registry};
use crate::support::{failure_of, sha256, stdout_of};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use oci::{Compression, Descriptor, Flavor};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::fs::{self, File};
use std::io::Write as _;
use tempfile::TempDir;

#[test]
fn standard_output_is_a_pipe_or_a_file() {
    let registry = Registry::start();
    TestImage::usual().store(&registry, "1");
    let image = name(&registry, "1");
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("out");
    stdout_of(nix_image("pull", &image).arg(&out));
    let expected = fs::read(&out).unwrap();
    assert_eq!(stdout_of(nix_image("pull", &image).arg("-")), expected);
    // Like `1<> FILE`, `> FILE` and `>> FILE`, after other output.
    for options in [
        File::options().read(true).write(true),
        File::options().write(true),
        File::options().append(true),
    ] {
        fs::write(&out, "").unwrap();
        let mut file = options.open(&out).unwrap();
        file.write_all(b"before").unwrap();
        let status = nix_image("pull", &image).arg("-").stdout(file).status().unwrap();
        assert!(status.success());
        assert!(fs::read(&out).unwrap() == [b"before", &expected[..]].concat(), "{options:?}");
    }
}

#[test]
fn outputs_that_cannot_be_written_are_named() {
    let registry = Registry::start();
    TestImage::usual().store(&registry, "1");
    let image = name(&registry, "1");
    let folder = TempDir::new().unwrap();
    for (out, expected) in [
        ("/dev/full", "No space left on device"),
        (folder.path().to_str().unwrap(), "is a directory"),
        ("/nonexistent/out", "/nonexistent"),
    ] {
        let said = failure_of(nix_image("pull", &image).arg(out));
        assert!(said.contains(expected), "{out}: {said}");
    }
}

/// A hash as Nix writes it.
fn sri(bytes: &[u8]) -> String {
    format!("sha256-{}", BASE64_STANDARD.encode(Sha256::digest(bytes)))
}

#[test]
fn a_prefetch_prints_what_pull_image_takes() {
    let registry = Registry::start();
    let digest = TestImage::usual().store(&registry, "1");
    let image = name(&registry, "1");
    let archive = stdout_of(nix_image("pull", &image).arg("-"));
    let hash = sri(&archive);
    let repository = registry.name(REPOSITORY);
    let nix = stdout_of(&mut nix_image("prefetch", &image));
    assert_eq!(
        String::from_utf8(nix).unwrap(),
        format!(
            "{{\n  imageName = \"{repository}\";\n  imageDigest = \"{digest}\";\n  hash = \"{hash}\";\
             \n  finalImageName = \"{repository}\";\n  finalImageTag = \"1\";\n}}\n"
        )
    );
    let mut prefetch = nix_image("prefetch", &image);
    prefetch.args(["--json", "--final-name", "x", "--final-tag", "2", "--arch", "amd64"]);
    let json: Value = serde_json::from_slice(&stdout_of(&mut prefetch)).unwrap();
    assert_ne!(json["hash"], hash);
    let expected = json!({"imageName": repository, "imageDigest": digest, "hash": json["hash"],
        "finalImageName": "x", "finalImageTag": "2", "arch": "amd64"});
    assert_eq!(json, expected);
}

/// pullImage would choose another variant.
#[test]
fn a_prefetch_of_a_variant_names_its_manifest() {
    let registry = Registry::start();
    let entries = ["v7", "v6"].map(|variant| {
        let image = TestImage::new(Flavor::Oci, &[(variant.as_bytes(), Compression::Gzip)]);
        let manifest = image.manifest(&registry);
        store_manifest(&registry, variant, &manifest);
        let json = manifest.to_json();
        let mut entry = Descriptor::of(Flavor::Oci.manifest(), json.as_bytes()).to_value();
        entry["platform"] = json!({"os": "linux", "architecture": "arm", "variant": variant});
        entry
    });
    let index = json!({"schemaVersion": 2, "manifests": entries}).to_string();
    let digest = registry.set_document(REPOSITORY, "1", Flavor::Oci.index(), index.as_bytes());
    let prefetch = |options: &[&str]| -> Value {
        let mut prefetch = nix_image("prefetch", &name(&registry, "1"));
        prefetch.args(["--json", "--arch", "arm"]).args(options);
        serde_json::from_slice(&stdout_of(&mut prefetch)).unwrap()
    };
    assert_eq!(prefetch(&[])["imageDigest"], digest);
    let found = prefetch(&["--variant", "v6"]);
    assert_eq!(found["imageDigest"], entries[1]["digest"]);
    let pull = format!("{}@{}", registry.name(REPOSITORY), found["imageDigest"].as_str().unwrap());
    let mut pull = nix_image("pull", &pull);
    let archive = stdout_of(pull.args(["-", "--final-tag", "1"]));
    assert_eq!(found["hash"], sri(&archive));
}

#[test]
fn a_lock_file_leads_to_each_blob() {
    let registry = Registry::start();
    let image = TestImage::usual();
    let digest = image.store(&registry, "1");
    let lock = stdout_of(&mut nix_image("lock", &name(&registry, "1")));
    let lock: Value = serde_json::from_slice(&lock).unwrap();
    assert_eq!(lock["imageName"], registry.name(REPOSITORY));
    assert_eq!((&lock["imageTag"], &lock["imageDigest"]), (&json!("1"), &json!(digest)));
    let text = lock["manifest"].as_str().unwrap();
    assert_eq!(format!("sha256:{}", sha256(text.as_bytes())), digest);
    let manifest: Value = serde_json::from_str(text).unwrap();
    for blob in manifest["layers"].as_array().unwrap().iter().chain([&manifest["config"]]) {
        let digest = blob["digest"].as_str().unwrap();
        let pull = |size: u64| {
            let mut pull = nix_image("pull", &format!("{}@{digest}", registry.name(REPOSITORY)));
            pull.args(["-", "--blob-size", &size.to_string()]);
            pull
        };
        let size = blob["size"].as_u64().unwrap();
        assert_eq!(stdout_of(&mut pull(size)), registry.blob(REPOSITORY, digest).unwrap());
        assert!(failure_of(&mut pull(size + 1)).contains("bytes, but the blob has"));
    }
}

#[test]
fn the_password_is_in_the_file_that_netrc_names() {
    // u:p
    let registry = Registry::start_with(|request| {
        let knows = request.headers.get("authorization").is_some_and(|text| text == "Basic dTpw");
        let challenge = ("www-authenticate", "Basic realm=\"x\"".to_owned());
        (!knows).then(|| Fault::Answer(401, vec![challenge], vec![]))
    });
    TestImage::usual().store(&registry, "1");
    let folder = TempDir::new().unwrap();
    let netrc = folder.path().join("netrc");
    fs::write(&netrc, "machine 127.0.0.1 login u password p\n").unwrap();
    let pull = || {
        let mut pull = nix_image("pull", &name(&registry, "1"));
        pull.arg("/dev/null");
        pull
    };
    assert!(failure_of(&mut pull()).contains("status 401"));
    stdout_of(pull().env("NETRC", &netrc));
    let said = failure_of(pull().env("NETRC", "/nonexistent/netrc"));
    assert!(said.contains("is named by NETRC, but cannot be found"), "{said}");
}

/// dockerd checks each diffID.
#[test]
fn docker_loads_what_was_pulled() {
    let engine = engines::docker();
    let registry = Registry::start();
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_data(&mut tar::Header::new_ustar(), "file", &b""[..]).unwrap();
    let tar = builder.into_inner().unwrap();
    let layers = [(&tar[..], Compression::Zstd), (&tar[..], Compression::None)];
    TestImage::new(Flavor::Oci, &layers).store(&registry, "1");
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("out");
    stdout_of(nix_image("pull", &name(&registry, "1")).arg(&out).args(["--final-name", "pulled"]));
    engine.load_archive(&out);
    assert!(engine.images().iter().any(|image| image.starts_with("pulled:1 ")));
}
