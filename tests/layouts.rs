//! Base images that are OCI layouts, OCI archives, confs and the programs that stream them.

use crate::bad_input::gzip;
use crate::support::archive::{image, members};
use crate::support::layout::{Form, Layout, on};
use crate::support::{TempStore, failure_of, run, sha256, stdout_of};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

const PATH: &str = "/nix/store/00000000000000000000000000000000-tree-1.0";

fn tar_of(name: &str, content: &[u8]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    header.set_cksum();
    tar.append_data(&mut header, name, content).unwrap();
    tar.into_inner().unwrap()
}

/// A store with a path and a customisation layer, and a conf with a base image.
struct Fixture {
    store: TempStore,
    conf: Value,
}

impl Fixture {
    fn new() -> Self {
        let store = TempStore::new();
        store.write(&format!("{PATH}/bin/hello"), "#!/bin/sh\n");
        let customisation = store.write_customisation_layer(&tar_of("etc/own", b"own"));
        let conf = TempStore::conf(&json!([[PATH]]), &customisation);
        Self { store, conf }
    }

    fn on(&self, base: &str) -> PathBuf {
        let mut conf = self.conf.clone();
        conf["from_image"] = json!(base);
        conf["config"] = json!({"Env": ["B=2"], "Cmd": ["/bin/hello"]});
        self.store.write_conf(&sha256(base.as_bytes()), &conf)
    }

    /// Writes the layout in one of the forms that a base may have, and returns its path.
    fn write(&self, layout: &Layout, form: &str) -> PathBuf {
        let place = self.store.root().join(form);
        match form {
            "directory" => layout.write(&place),
            "archive" => fs::write(&place, layout.archive("")).unwrap(),
            "archive.dotted" => fs::write(&place, layout.archive("./")).unwrap(),
            "archive.gz" => fs::write(&place, gzip(&layout.archive(""))).unwrap(),
            other => panic!("{other}"),
        }
        place
    }

    fn failure(&self, base: &str) -> String {
        failure_of(&mut self.store.nix_image("stream", self.on(base)))
    }
}

/// A layout with one image that has a layer in each form.
fn simple() -> (Layout, Vec<Vec<u8>>) {
    let tars: Vec<_> = (0..3u8).map(|n| tar_of(&format!("file{n}"), &vec![n; 70_000])).collect();
    let mut layout = Layout::default();
    let layers: Vec<_> = Form::ALL.into_iter().zip(tars.iter().map(Vec::as_slice)).collect();
    let image = layout.image(&layers, &["A=1", "B=1"]);
    layout.entry(image, Some("base:1"));
    (layout, tars)
}

const FORMS: [&str; 4] = ["directory", "archive", "archive.dotted", "archive.gz"];

#[test]
fn streams_on_a_layout_have_its_layers_decompressed() {
    let fixture = Fixture::new();
    let (layout, tars) = simple();
    let mut streams = Vec::new();
    for form in FORMS {
        let base = fixture.write(&layout, form);
        let conf = fixture.on(base.to_str().unwrap());
        let stream = stdout_of(&mut fixture.store.nix_image("stream", &conf));
        let image = image(&stream);
        assert_eq!(image.layers[..3], tars, "{form}");
        assert_eq!(image.layers.len(), 5);
        let digests: Vec<_> =
            image.layer_digests.iter().map(|digest| json!(format!("sha256:{digest}"))).collect();
        assert_eq!(image.config["rootfs"]["diff_ids"], json!(digests));
        assert_eq!(image.config["config"]["Env"], json!(["A=1", "B=2"]));
        let name = format!("{}/layer.tar", sha256(&tars[1]));
        assert_eq!(image.manifest["Layers"][1], json!(name));
        let comment = json!(format!("store paths: ['{name}']"));
        assert_eq!(image.config["history"][1]["comment"], comment);
        // Remembered digests give the same archive, as does hashing again.
        let again = fixture.store.nix_image("stream", &conf).arg("--verify").output().unwrap();
        assert!(again.stdout == stream, "{form}");
        streams.push(stream);
    }
    assert!(streams.iter().all(|stream| *stream == streams[0]));
}

#[test]
fn layouts_written_on_a_layout_keep_its_blobs() {
    let fixture = Fixture::new();
    let (layout, tars) = simple();
    for form in FORMS {
        let conf = fixture.on(fixture.write(&layout, form).to_str().unwrap());
        let out = fixture.store.root().join(format!("out-{form}"));
        let mut write = fixture.store.nix_image("write", &conf);
        stdout_of(write.arg(&out).args(["--format", "oci"]));
        let index: Value =
            serde_json::from_slice(&fs::read(out.join("index.json")).unwrap()).unwrap();
        let blob = |descriptor: &Value| {
            let digest = descriptor["digest"].as_str().unwrap();
            fs::read(out.join("blobs/sha256").join(digest.strip_prefix("sha256:").unwrap()))
                .unwrap()
        };
        let manifest: Value = serde_json::from_slice(&blob(&index["manifests"][0])).unwrap();
        for ((tar, packing), layer) in
            tars.iter().zip(Form::ALL).zip(manifest["layers"].as_array().unwrap())
        {
            assert_eq!(layer["mediaType"], packing.media_type(), "{form}");
            assert!(blob(layer) == packing.pack(tar), "{form}");
        }
    }
}

/// As when Nix fetches a registry's blobs: each is a separate store path.
#[test]
fn blobs_may_be_links_into_the_store() {
    let fixture = Fixture::new();
    let (layout, tars) = simple();
    let name = "/nix/store/11111111111111111111111111111111-layout";
    for (index, (file, content)) in layout.all_files().into_iter().enumerate() {
        let blob = format!("/nix/store/{index:032}-blob");
        fixture.store.write(&blob, content);
        let link = fixture.store.place(&format!("{name}/{file}"));
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(blob, link).unwrap();
    }
    let stream = stdout_of(&mut fixture.store.nix_image("stream", fixture.on(name)));
    assert_eq!(image(&stream).layers[..3], tars);
}

#[test]
fn the_image_is_chosen_by_platform_and_by_name() {
    let fixture = Fixture::new();
    let tars: Vec<_> = (0..4).map(|n| tar_of(&format!("file{n}"), b"x")).collect();
    let mut layout = Layout::default();
    let mut images: Vec<_> =
        tars.iter().map(|tar| layout.image(&[(Form::Gzip, &**tar)], &[])).collect();
    let attestation = on(images[3].clone(), "unknown");
    images[0] = on(images[0].clone(), "arm64");
    images[1] = on(images[1].clone(), "amd64");
    let inner = layout.index(&[images[0].clone(), attestation, images[1].clone()]);
    let outer = layout.index(&[inner]);
    layout.entry(outer, Some("me/app:1"));
    layout.entry(images[2].clone(), Some("other"));
    let base = fixture.write(&layout, "directory");
    let base = base.to_str().unwrap();
    for (name, expected) in [("#me/app:1", 1), ("#1", 1), ("#docker.io/me/app:1", 1), ("#other", 2)]
    {
        let conf = fixture.on(&format!("{base}{name}"));
        let stream = stdout_of(&mut fixture.store.nix_image("stream", conf));
        assert!(image(&stream).layers[0] == tars[expected], "{name}");
    }
    for (name, parts) in [
        ("", &["has 2 images", "#NAME", "`me/app:1`, `other`"][..]),
        ("#me/app:2", &["has no image `me/app:2`", "`me/app:1`, `other`"]),
    ] {
        let said = fixture.failure(&format!("{base}{name}"));
        for part in parts {
            assert!(said.contains(part), "{name}: {said}");
        }
    }
    let mut conf: Value =
        serde_json::from_slice(&fs::read(fixture.on(&format!("{base}#1"))).unwrap()).unwrap();
    conf["architecture"] = json!("s390x");
    let conf = fixture.store.write_conf("other", &conf);
    let said = failure_of(&mut fixture.store.nix_image("stream", conf));
    assert!(said.contains("no image for linux/s390x; it has linux/arm64"), "{said}");
}

#[test]
fn an_image_of_a_docker_archive_is_chosen_by_name() {
    let fixture = Fixture::new();
    let (one, two) = (tar_of("one", b""), tar_of("two", b""));
    let mut tar = tar::Builder::new(Vec::new());
    let mut add = |name: &str, content: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_cksum();
        tar.append_data(&mut header, name, content).unwrap();
    };
    let mut manifest = Vec::new();
    for (name, layer) in [("app:1", &one), ("app:2", &two)] {
        let config = json!({"rootfs": {"diff_ids": [format!("sha256:{}", sha256(layer))]}});
        add(&format!("{name}.json"), config.to_string().as_bytes());
        add(&format!("{name}.tar"), layer);
        manifest.push(json!({"Config": format!("{name}.json"), "RepoTags": [name],
            "Layers": [format!("{name}.tar")]}));
    }
    add("manifest.json", json!(manifest).to_string().as_bytes());
    let base = fixture.store.root().join("base.tar");
    fs::write(&base, tar.into_inner().unwrap()).unwrap();
    let base = base.to_str().unwrap();
    for (name, expected) in [("", &one), ("#app:2", &two), ("#1", &one)] {
        let conf = fixture.on(&format!("{base}{name}"));
        let stream = stdout_of(&mut fixture.store.nix_image("stream", conf));
        assert!(image(&stream).layers[0] == *expected, "{name}");
    }
    let said = fixture.failure(&format!("{base}#app"));
    assert!(said.contains("has no image `app`; it has `app:1`, `app:2`"), "{said}");
}

type Break = fn(&mut Layout);

/// Replaces text in a blob, and updates every digest that depends on it.
fn replace(layout: &mut Layout, from: &str, to: &str) {
    let files = std::mem::take(&mut layout.files);
    for (name, content) in files {
        let text = String::from_utf8(content.clone()).unwrap_or_default();
        let content =
            if text.contains(from) { text.replace(from, to).into_bytes() } else { content };
        layout.files.insert(name, content);
    }
}

/// Rebuilds the layout's only image with other descriptors of its layers.
fn with_layers(layout: &mut Layout, change: fn(&mut Value)) {
    let (tar, form) = (tar_of("a", b"b"), Form::Gzip);
    let mut layer = layout.blob(form.media_type(), &form.pack(&tar));
    change(&mut layer);
    let config = json!({"rootfs": {"diff_ids": [format!("sha256:{}", sha256(&tar))]}});
    let image = layout.image_of(&config, &[layer]);
    layout.entries.clear();
    layout.entry(image, None);
}

/// What is broken and how, and parts of the expected message.
const BROKEN: &[(&str, Break, &[&str])] = &[
    ("no image", |layout| layout.entries.clear(), &["no image for linux/amd64; it has none"]),
    (
        "a blob that is not there",
        |layout| {
            let blob = layout.files.keys().next().unwrap().clone();
            layout.files.remove(&blob);
        },
        &["blob sha256:", "is missing"],
    ),
    (
        "a document of another digest",
        |layout| replace(layout, "\"A=1\"", "\"A=2\""),
        &["of the config has the digest sha256:", "fetch or build"],
    ),
    (
        "a document of another size",
        |layout| replace(layout, "\"A=1\"", "\"A=11\""),
        &["of the config is not ", " bytes long"],
    ),
    (
        "a layer of another size",
        |layout| with_layers(layout, |layer| layer["size"] = json!(7)),
        &["of a layer has ", "the manifest says 7"],
    ),
    (
        "a foreign layer",
        |layout| {
            with_layers(layout, |layer| {
                layer["mediaType"] =
                    json!("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
            });
        },
        &["is a foreign layer"],
    ),
    (
        "an unknown compression",
        |layout| {
            with_layers(layout, |layer| {
                layer["mediaType"] = json!("application/vnd.oci.image.layer.v1.tar+lz4");
            });
        },
        &["tar+lz4`, which is not a known layer type"],
    ),
    (
        "another compression than stated",
        |layout| {
            with_layers(layout, |layer| layer["mediaType"] = json!(Form::Zstd.media_type()));
        },
        &["is not compressed as its media type"],
    ),
    (
        "a manifest without end",
        |layout| layout.entries[0]["size"] = json!(5 << 20),
        &["of the manifest has 5242880 bytes", "at most"],
    ),
    (
        "indexes within indexes",
        |layout| {
            let mut inner = layout.entries[0].clone();
            for _ in 0..6 {
                inner = layout.index(&[inner]);
            }
            layout.entries = vec![inner];
        },
        &["indexes within indexes"],
    ),
    (
        "an index of itself many times",
        |layout| {
            let mut inner = layout.entries[0].clone();
            for _ in 0..4 {
                inner = layout.index(&vec![inner; 100]);
            }
            layout.entries = vec![inner];
        },
        &["its index has more than 10000 manifests"],
    ),
    (
        "a diffID of something else",
        |layout| {
            let tar = tar_of("a", b"b");
            let layer = layout.blob(Form::Gzip.media_type(), &Form::Gzip.pack(&tar));
            let config = json!({"rootfs": {"diff_ids": [format!("sha256:{}", sha256(b""))]}});
            let image = layout.image_of(&config, &[layer]);
            layout.entries = vec![image];
        },
        &["layer.tar` has the digest", "its config says"],
    ),
    (
        "a layer cut off",
        |layout| {
            let tar = tar_of("a", &[7; 9000]);
            let packed = Form::Gzip.pack(&tar);
            let cut = &packed[..packed.len() - 9];
            let layer = layout.blob(Form::Gzip.media_type(), cut);
            let config = json!({"rootfs": {"diff_ids": [format!("sha256:{}", sha256(&tar))]}});
            let image = layout.image_of(&config, &[layer]);
            layout.entries = vec![image];
        },
        &["cannot read the image"],
    ),
];

#[test]
fn layouts_that_are_broken_are_errors() {
    for form in ["directory", "archive"] {
        for (case, change, parts) in BROKEN {
            let fixture = Fixture::new();
            let (mut layout, _) = simple();
            change(&mut layout);
            let base = fixture.write(&layout, form);
            let said = fixture.failure(base.to_str().unwrap());
            for part in *parts {
                assert!(said.contains(part), "{case}, {form}: {said}");
            }
        }
    }
}

/// A blob that decompresses to the right layer, but is not the one in the manifest.
#[test]
fn a_blob_of_another_digest_is_not_passed_on() {
    let fixture = Fixture::new();
    let tar = tar_of("a", &[7; 9000]);
    let mut layout = Layout::default();
    let image = layout.image(&[(Form::Gzip, &tar)], &[]);
    layout.entry(image, None);
    let packed = Form::Gzip.pack(&tar);
    let mut other = packed.clone();
    // The header's time.
    other[4] ^= 1;
    layout.files.insert(format!("blobs/sha256/{}", sha256(&packed)), other);
    let conf = fixture.on(fixture.write(&layout, "directory").to_str().unwrap());
    let out = fixture.store.root().join("out");
    let mut write = fixture.store.nix_image("write", &conf);
    let said = failure_of(write.arg(&out).args(["--format", "oci"]));
    assert!(said.contains("of a layer has the digest sha256:"), "{said}");
    assert!(!out.join("blobs/sha256").join(sha256(&packed)).exists());
}

/// Writes the image that others build on, in each of its possible forms.
fn inner(fixture: &Fixture, name: &str, conf: &Value) -> [String; 4] {
    let store = &fixture.store;
    let path = |kind: &str| format!("/nix/store/{}-{name}-{kind}", "2".repeat(32));
    let [conf_path, script, theirs, archive] =
        [path("conf.json"), path("stream"), path("theirs"), path("archive")];
    store.write(&conf_path, conf.to_string());
    store.write(&script, format!("#!/bin/sh\nexec /p/stream-layered-image {conf_path} \"$@\"\n"));
    store.write(&theirs, format!("#! /bin/bash -e\nexec \"/p/stream\"  {conf_path} \"$@\" \n"));
    let made = stdout_of(&mut store.nix_image("stream", store.place(&conf_path)));
    store.write(&archive, made);
    [archive, conf_path, script, theirs]
}

/// No archive is made of a base that is a conf, and the image equals the one based on that archive.
#[test]
fn a_conf_is_as_good_a_base_as_its_archive() {
    let fixture = Fixture::new();
    let other = "/nix/store/33333333333333333333333333333333-other";
    fixture.store.write(&format!("{other}/share/large"), vec![3; 100_000]);
    let mut conf = fixture.conf.clone();
    conf["store_layers"] = json!([[other]]);
    conf["uid"] = json!("7");
    conf["mtime"] = json!("2001-02-03T04:05:06+00:00");
    conf["config"] = json!({"Env": ["A=1", "B=1"]});
    let lowest = inner(&fixture, "lowest", &conf);
    // Another image on top of that.
    let mut second = fixture.conf.clone();
    second["from_image"] = json!(lowest[1]);
    // Both have the same customisation layer. Readers of an archive see only the last one.
    second["mtime"] = conf["mtime"].clone();
    let middle = inner(&fixture, "middle", &second);
    for bases in [lowest, middle] {
        let streams =
            bases.map(|base| stdout_of(&mut fixture.store.nix_image("stream", fixture.on(&base))));
        for stream in &streams[1..] {
            assert_eq!(members(stream), members(&streams[0]));
            assert!(*stream == streams[0]);
        }
    }
}

#[test]
fn confs_that_build_on_themselves_are_errors() {
    let fixture = Fixture::new();
    let path = format!("/nix/store/{}-circle-conf.json", "4".repeat(32));
    let mut conf = fixture.conf.clone();
    conf["from_image"] = json!(path);
    fixture.store.write(&path, conf.to_string());
    let said = fixture.failure(&path);
    assert!(said.contains("does it build on itself?"), "{said}");
    let script = format!("/nix/store/{}-script", "4".repeat(32));
    fixture.store.write(&script, "#!/bin/sh\necho hello\n");
    let said = fixture.failure(&script);
    assert!(said.contains("is a script, but not the program"), "{said}");
    let said = fixture.failure(&format!("{script}#x"));
    assert!(said.contains("is a script"), "{said}");
}

/// What other programs make of it.
#[test]
fn skopeo_makes_layouts_that_are_bases() {
    crate::support::need("skopeo");
    let fixture = Fixture::new();
    let plain = fixture.store.write_conf("plain", &fixture.conf);
    let archive = fixture.store.root().join("plain.tar");
    fs::write(&archive, stdout_of(&mut fixture.store.nix_image("stream", &plain))).unwrap();
    let copy = |to: &str| {
        let from = format!("docker-archive:{}", archive.display());
        let mut skopeo = std::process::Command::new("skopeo");
        skopeo.args(["--insecure-policy", "copy", &from, to]).env("HOME", fixture.store.root());
        run(&mut skopeo).unwrap();
    };
    let expected = image(&fs::read(&archive).unwrap()).layers;
    let at = |name: &str| fixture.store.root().join(name).display().to_string();
    for (transport, name) in [("oci", "layout"), ("oci-archive", "archive.tar")] {
        copy(&format!("{transport}:{}:me/base:1", at(name)));
        let conf = fixture.on(&format!("{}#me/base:1", at(name)));
        let stream = stdout_of(&mut fixture.store.nix_image("stream", conf));
        assert!(image(&stream).layers[..2] == expected[..], "{transport}");
        assert!(Path::new(&at(name)).exists());
    }
}
