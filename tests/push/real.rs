//! Debian's registry, with skopeo as a second reader.

use super::images::{Fixture, bytes, said};
use crate::examples;
use crate::support::docker_registry::DockerRegistry;
use crate::support::engines::{self, Engine};
use crate::support::{command, need, sha256, stdout_of};
use serde_json::Value;

fn skopeo(arguments: &[&str]) -> Vec<u8> {
    stdout_of(command("skopeo", arguments).env("HOME", "/nonexistent"))
}

#[test]
fn skopeo_reads_what_was_pushed() {
    need("skopeo");
    let registry = DockerRegistry::start();
    let mut image = Fixture::new(4, true);
    image.add("large", &bytes(77, 18 << 20));
    image.add("text", &b"compressible text ".repeat(400_000));
    let id = format!("sha256:{}", sha256(&image.config()));
    for (compression, format) in
        [("zstd", "oci"), ("gzip", "oci"), ("none", "oci"), ("gzip", "docker"), ("none", "docker")]
    {
        let name = format!("{}/me/app:{compression}-{format}", registry.address);
        let mut push = image.push(&name);
        let out = stdout_of(push.args(["--compression", compression, "--format", format]));
        let pushed = String::from_utf8(out).unwrap();
        let place = format!("docker://{name}");
        let raw = skopeo(&["inspect", "--raw", "--tls-verify=false", &place]);
        assert!(pushed.trim_end().ends_with(&sha256(&raw)), "{pushed}");
        let manifest: Value = serde_json::from_slice(&raw).unwrap();
        assert_eq!(manifest["config"]["digest"], id.as_str());
        // Copying checks every digest.
        let layout = image.store.root().join(format!("{compression}-{format}"));
        let to = format!("oci:{}:x", layout.display());
        skopeo(&["copy", "-q", "--src-tls-verify=false", &place, &to]);
        if format == "docker" {
            // With the same kind of manifest, nothing needs to change.
            let archive = image.store.root().join(format!("{compression}.tar"));
            let to = format!("docker-archive:{}:a:b", archive.display());
            skopeo(&["copy", "-q", "--src-tls-verify=false", &place, &to]);
            let from = format!("docker-archive:{}", archive.display());
            let config = skopeo(&["inspect", "--config", "--raw", &from]);
            assert_eq!(format!("sha256:{}", sha256(&config)), id);
        }
    }
}

#[test]
fn a_real_registry_is_sent_nothing_twice() {
    let registry = DockerRegistry::start();
    let mut image = Fixture::new(20, true);
    let name = format!("{}/me/app:1", registry.address);
    assert!(said(&mut image.push(&name)).contains("21 of 21 layers"));
    assert!(said(&mut image.push(&name)).contains("0 of 21 layers, 0 bytes of"));
    assert!(said(&mut image.push_from_nowhere(&name)).contains("0 of 21 layers, 0 bytes of"));
    let copy = format!("{}/me/copy:1", registry.address);
    let text = said(&mut image.push(&copy));
    assert!(text.contains("0 of 21 layers, 0 bytes of"), "{text}");
    image.forget();
    image.change(4);
    assert!(said(&mut image.push(&name)).contains("1 of 21 layers"));
    let other = format!("{}/you/app:1", registry.address);
    let text = said(image.push_from_nowhere(&other).arg("--cache-from").arg(&name));
    assert!(text.contains("0 of 21 layers, 0 bytes of"), "{text}");
}

#[test]
fn the_example_pushes() {
    let registry = DockerRegistry::start();
    let (store, conf) = examples::image();
    let name = format!("{}/me/app:1", registry.address);
    let push = || String::from_utf8(stdout_of(examples::example("push", &store, &conf).arg(&name)));
    let [first, again] = [push().unwrap(), push().unwrap()];
    let (digest, _) = first.split_once(": ").unwrap();
    assert_ne!(first, again);
    assert_eq!(again, format!("{digest}: 0 bytes sent\n"));
}

/// An image with a few blocks per layer, so that its blobs consist of several gzip members or zstd
/// frames.
fn pulls_what_was_pushed(engine: &Engine) {
    let registry = DockerRegistry::start();
    let mut image = Fixture::new(2, true);
    image.add("large", &bytes(77, 3 << 20));
    image.add("text", &b"compressible text ".repeat(400_000));
    let id = format!("sha256:{}", sha256(&image.config()));
    let formats = [("zstd", "oci"), ("gzip", "oci"), ("none", "oci"), ("gzip", "docker")];
    let name =
        |(compression, format)| format!("{}/me/app:{compression}-{format}", registry.address);
    for (compression, format) in formats {
        let mut push = image.push(&name((compression, format)));
        said(push.args(["--compression", compression, "--format", format]));
    }
    // Debian's dockerd does not support zstd yet.
    let readable = formats.iter().filter(|format| engine.name != "docker" || format.0 != "zstd");
    for format in readable {
        let name = name(*format);
        // Each engine checks that what it unpacks has the diffIDs of the config.
        let mut pull = match engine.name {
            "containerd" => engine.command("ctr", &["images", "pull", "--plain-http", &name]),
            "podman" => engine.command("podman", &["pull", "-q", "--tls-verify=false", &name]),
            docker => engine.command(docker, &["pull", "-q", &name]),
        };
        stdout_of(&mut pull);
        let images = engine.images();
        assert!(images.iter().any(|image| image.ends_with(&id)), "{name}: {images:?}");
        let mut remove = match engine.name {
            "containerd" => engine.command("ctr", &["images", "rm", "--sync", &name]),
            other => engine.command(other, &["rmi", &name]),
        };
        // So that the next image is unpacked from its own blobs.
        stdout_of(&mut remove);
    }
}

#[test]
fn docker_pulls_what_was_pushed() {
    pulls_what_was_pushed(&engines::docker());
}

#[test]
fn podman_pulls_what_was_pushed() {
    pulls_what_was_pushed(&engines::podman());
}

#[test]
fn containerd_pulls_what_was_pushed() {
    pulls_what_was_pushed(&engines::containerd());
}
