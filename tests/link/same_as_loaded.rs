//! An engine that got an image through links has the same as one that unpacked the archive itself.

use super::fixture::{Fixture, IMAGES, assert_saved, said};
use super::listing::{assert_same, assert_same_but_more_links};
use super::state;
use crate::support::engines::{self, Engine};
use crate::support::{need, stdout_of};
use std::fs;

/// Loads all images in some way into an engine, and their archives into another one.
fn compare(start: fn() -> Engine, import: &str) {
    let fixture = Fixture::new();
    let (ours, theirs) = (start(), start());
    for image in IMAGES {
        said(fixture.load(&ours, image, import));
        theirs.load_archive(&fixture.archive(image));
        assert_saved(&ours, &fixture, image);
    }
    let (ours, theirs) = (state::of(&ours), state::of(&theirs));
    let compare = if import == "copy" { assert_same } else { assert_same_but_more_links };
    compare(&format!("--import {import}"), &ours, &theirs);
    fixture.assert_untouched("loads");
}

#[test]
fn podman_holds_links_as_it_holds_its_own_files() {
    compare(engines::podman, "link");
}

#[test]
fn podman_holds_copies_as_it_holds_its_own_files() {
    compare(engines::podman, "copy");
}

#[test]
fn containerd_holds_links_as_it_holds_its_own_files() {
    compare(engines::containerd, "link");
}

#[test]
fn containerd_holds_copies_as_it_holds_its_own_files() {
    compare(engines::containerd, "copy");
}

#[test]
fn docker_holds_links_as_it_holds_its_own_files() {
    let start = || {
        let engine = engines::docker_with_containerd_store();
        engine.containerd_address();
        engine
    };
    compare(start, "link");
}

/// A layer with duplicate names is accepted or rejected as by the engine itself.
fn compare_repeated_names(start: fn() -> Engine) {
    let fixture = Fixture::new();
    let (ours, theirs) = (start(), start());
    let loaded = fixture.load(&ours, "repeating", "auto").output().unwrap();
    let expected = theirs.try_archive(&fixture.archive("repeating"));
    let said = String::from_utf8_lossy(&loaded.stderr);
    assert_eq!(loaded.status.success(), expected.is_ok(), "{said}\n{expected:?}");
    assert_eq!(ours.images(), theirs.images());
    if expected.is_ok() {
        assert_same_but_more_links("repeated names", &state::of(&ours), &state::of(&theirs));
        assert_saved(&ours, &fixture, "repeating");
    }
}

#[test]
fn podman_has_repeated_names_as_it_unpacks_them() {
    compare_repeated_names(engines::podman);
}

#[test]
fn containerd_has_repeated_names_as_it_unpacks_them() {
    compare_repeated_names(engines::containerd);
}

/// A program other than the engine reads its storage.
#[test]
fn skopeo_gets_the_image_out_of_podmans_storage() {
    need("skopeo");
    let (fixture, engine) = (Fixture::new(), engines::podman());
    let root = state::graph_root(&engine);
    for image in ["twenty", "based"] {
        said(fixture.load(&engine, image, "auto"));
        let folder = fixture.store.root().join(format!("{image}-copied"));
        let source = format!("containers-storage:localhost/{image}:1");
        let target = format!("dir:{}", folder.display());
        stdout_of(
            &mut engine
                .command("skopeo", &["copy", "--quiet", "--insecure-policy", &source, &target]),
        );
        let manifest = fs::read(folder.join("manifest.json")).unwrap();
        let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
        let expected = fixture.image(image);
        let config = manifest["config"]["digest"].as_str().unwrap();
        assert_eq!(config, format!("sha256:{}", expected.id));
        for (layer, digest) in
            manifest["layers"].as_array().unwrap().iter().zip(&expected.layer_digests)
        {
            let stated = layer["digest"].as_str().unwrap().trim_start_matches("sha256:");
            assert_eq!(crate::support::sha256(&fs::read(folder.join(stated)).unwrap()), stated);
            assert_eq!(stated, digest, "{image}");
        }
    }
    assert!(root.exists());
}

/// A container runs, and prints the content of the store's file.
#[test]
fn an_image_that_is_linked_runs() {
    let (fixture, engine) = (Fixture::new(), engines::podman());
    for image in IMAGES {
        said(fixture.load(&engine, image, "auto"));
        assert_eq!(engine.output_of(&format!("{image}:1")), super::fixture::HELLO, "{image}");
    }
    fixture.assert_untouched("runs");
}

/// Existing layers are reused, however they got there.
#[test]
fn layers_of_links_and_of_archives_are_one_and_the_same() {
    let (fixture, engine) = (Fixture::new(), engines::podman());
    let root = state::graph_root(&engine);
    let layers = || fs::read_dir(root.join("overlay")).unwrap().count();
    engine.load_archive(&fixture.archive("twenty"));
    said(fixture.load(&engine, "sharing", "auto"));
    let both = layers();
    engine.load_archive(&fixture.archive("sharing"));
    said(fixture.load(&engine, "twenty", "auto"));
    assert_eq!(layers(), both);
    for image in ["twenty", "sharing"] {
        assert_saved(&engine, &fixture, image);
    }
    // One image is removed, the other stays complete.
    stdout_of(&mut engine.command("podman", &["rmi", "localhost/twenty:1"]));
    assert_saved(&engine, &fixture, "sharing");
}
