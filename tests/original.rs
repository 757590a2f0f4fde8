//! Compares with the script that the project began as.
//!
//! Everything must be equal except what the first version got wrong: its entries have no defined
//! order, `/nix` and `/nix/store` have the wrong mode and no owner's name, and a file with an
//! earlier hard link has no content. Store paths that are not directories are left out, as the
//! script writes broken layers for them.

use crate::support::archive::{self, Image, Member};
use crate::support::tree::{self, Node};
use crate::support::{TempStore, private_root, python3, run, skip, test_file};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::ops::Range;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

const NAME: Range<usize> = 0..100;
const MODE: Range<usize> = 100..108;
const SIZE: Range<usize> = 124..136;
const CHECKSUM: Range<usize> = 148..156;
const LINK_NAME: Range<usize> = 157..257;
const OWNER_NAMES: Range<usize> = 265..329;

/// The script; CONTRIBUTING.md says where to get it.
fn script() -> PathBuf {
    let beside = || "../shared/reference/original_stream_layered_image.py".into();
    let named = env::var_os("NIX_IMAGE_ORIGINAL_SCRIPT").filter(|script| !script.is_empty());
    let script = named.unwrap_or_else(beside);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
    if !script.is_file() {
        skip(&format!("{} does not exist; set NIX_IMAGE_ORIGINAL_SCRIPT", script.display()));
    }
    private_root::need(&TempStore::new(), python3());
    script.canonicalize().unwrap()
}

/// A conf with only the keys of the original schema.
fn conf(created: &str, store_layers: &Value, customisation_layer: &str) -> Value {
    json!({
        "architecture": "amd64", "os": "linux", "config": {"Cmd": ["/bin/hé"]},
        "created": created, "repo_tag": "original:1",
        "store_layers": store_layers, "customisation_layer": customisation_layer,
    })
}

/// Runs both on a conf and returns the first difference.
fn compare(script: &Path, store: &TempStore, conf: &Value) -> Result<(), String> {
    let conf = store.write_conf("original", conf);
    let mut original = private_root::command(store, python3());
    let theirs = run(original.arg(script).arg(&conf))?;
    let ours = run(&mut store.nix_image("stream", &conf))?;
    let images = (archive::image(&ours), archive::image(&theirs));
    let (ours, theirs) = (archive::members(&ours), archive::members(&theirs));
    let digestless = |member: &Member| {
        let mut member = member.clone();
        (member.name, member.content) = Default::default();
        for field in [NAME, SIZE, CHECKSUM] {
            member.blank(field);
        }
        member
    };
    same("the members' headers", ours.iter().map(digestless), theirs.iter().map(digestless))?;
    compare_documents(&images.0, &images.1)?;
    let linked = hard_linked(store);
    for (index, (ours, theirs)) in images.0.layers.iter().zip(&images.1.layers).enumerate() {
        let mut layers = [archive::members(ours), archive::members(theirs)];
        forgive(&mut layers, &linked);
        let [ours, theirs] = layers;
        same(&format!("layer {index}"), ours.into_iter(), theirs.into_iter())?;
    }
    Ok(())
}

/// Compares the documents, except digests.
fn compare_documents(ours: &Image, theirs: &Image) -> Result<(), String> {
    let digestless = |image: &Image| {
        let (mut config, mut manifest) = (image.config.clone(), image.manifest.clone());
        config["rootfs"]["diff_ids"] = json!(image.layers.len());
        manifest["Layers"] = json!(image.layers.len());
        manifest["Config"] = Value::Null;
        [config, manifest]
    };
    same("the documents", digestless(ours).into_iter(), digestless(theirs).into_iter())
}

fn same<T: PartialEq + std::fmt::Debug>(
    what: &str,
    mut ours: impl Iterator<Item = T>,
    mut theirs: impl Iterator<Item = T>,
) -> Result<(), String> {
    loop {
        match (ours.next(), theirs.next()) {
            (None, None) => return Ok(()),
            (ours, theirs) if ours == theirs => {}
            (ours, theirs) => {
                return Err(format!("{what}:\n ours   {ours:?}\n theirs {theirs:?}"));
            }
        }
    }
}

/// Puts both sides' members in the same order, and removes what the first version got wrong.
fn forgive([ours, theirs]: &mut [Vec<Member>; 2], hard_linked: &HashSet<Vec<u8>>) {
    ours.sort_by(|a, b| a.name.cmp(&b.name));
    theirs.sort_by(|a, b| a.name.cmp(&b.name));
    for (ours, theirs) in ours.iter_mut().zip(theirs) {
        let fields = if [&b"/nix/"[..], b"/nix/store/"].contains(&ours.name.as_slice()) {
            vec![MODE, OWNER_NAMES, CHECKSUM]
        } else if hard_linked.contains(&ours.name) && theirs.content.is_empty() {
            // The first name is only present as the target of a link.
            ours.content.clear();
            ours.records.clear();
            theirs.records.clear();
            vec![SIZE, CHECKSUM, LINK_NAME]
        } else {
            continue;
        };
        for field in fields {
            ours.blank(field.clone());
            theirs.blank(field);
        }
    }
}

/// The names in the archive of files that have several names.
fn hard_linked(store: &TempStore) -> HashSet<Vec<u8>> {
    let mut found = HashSet::new();
    let mut directories = vec![store.place("/nix/store")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
            let metadata = entry.metadata().unwrap();
            if metadata.is_dir() {
                directories.push(entry.path());
            } else if metadata.nlink() > 1 {
                let path = entry.path();
                let path = path.strip_prefix(store.root()).unwrap().as_os_str();
                let path = [b"/", path.as_encoded_bytes()].concat();
                // In a customisation layer, names come without the store path.
                let inner = path.splitn(5, |&byte| byte == b'/').skip(4);
                found.extend(inner.map(|inner| [b"/", inner].concat()));
                found.insert(path);
            }
        }
    }
    found
}

#[test]
fn golden_images() {
    let script = script();
    let store = TempStore::new();
    let mut make = Command::new(python3());
    run(make.arg(test_file("golden/make_store.py")).arg(store.root())).unwrap();
    let read = |name: &str| -> Value {
        serde_json::from_slice(&fs::read(store.root().join("confs").join(name)).unwrap()).unwrap()
    };
    let tree = read("original-schema.json")["customisation_layer"].clone();
    for (name, created) in [
        ("everything.json", "1970-01-01T00:00:01+00:00"),
        ("one-layer.json", "2242-03-16T12:56:32+00:00"),
        ("hardlinks.json", "1960-06-01T00:00:00+00:00"),
        ("empty-layer.json", "2024-02-29T12:34:56+05:30"),
    ] {
        let mut layers = read(name)["store_layers"].clone();
        for layer in layers.as_array_mut().unwrap() {
            layer.as_array_mut().unwrap().retain(|path| {
                store.place(path.as_str().unwrap()).symlink_metadata().unwrap().is_dir()
            });
        }
        let conf = conf(created, &layers, tree.as_str().unwrap());
        compare(&script, &store, &conf).unwrap_or_else(|reason| panic!("{name}: {reason}"));
    }
}

#[test]
fn made_up_stores() {
    let script = script();
    let directory = || {
        let entry = (tree::name(), tree::node());
        prop::collection::vec(entry, 0..6)
            .prop_map(|entries| Node::Directory { mode: 0o555, entries })
    };
    let name = "[0-9a-df-np-sv-z]{32}-[a-z.-]{1,20}";
    let stores = (
        prop::collection::vec((name, directory()), 1..4),
        prop::collection::vec(prop::collection::vec(any::<Index>(), 0..4), 0..4),
        directory(),
    );
    let cases = Config::default().cases / 16;
    let config =
        Config { cases, max_shrink_iters: 100, failure_persistence: None, ..Config::default() };
    let result = TestRunner::new(config).run(&stores, |(paths, layers, customisation)| {
        let store = TempStore::new();
        let mut writer = tree::Writer::default();
        let tree = format!("/nix/store/{}-tree", "t".repeat(32));
        writer.write(&store.place(&tree), &customisation);
        let mut names = Vec::new();
        for (name, node) in &paths {
            let path = format!("/nix/store/{name}");
            writer.write(&store.place(&path), node);
            names.push(path);
        }
        let layer = |indexes: &Vec<Index>| -> Vec<_> {
            indexes.iter().map(|index| index.get(&names)).collect()
        };
        let layers: Vec<_> = layers.iter().map(layer).collect();
        let conf = conf("1970-01-01T00:00:01+00:00", &json!(layers), &tree);
        compare(&script, &store, &conf).map_err(TestCaseError::fail)
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}
