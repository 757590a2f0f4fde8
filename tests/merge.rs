//! `nix-image merge`: its archives equal those of nixpkgs' expression, and engines load them.

use crate::bad_input::gzip;
use crate::support::archive::members;
use crate::support::engines::{self, Engine};
use crate::support::layout::{Form, Layout};
use crate::support::{NIX_IMAGE, Python, TempStore, command, failure_of, need, peak_memory};
use crate::support::{sha256, stdout_of};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn tar_of(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in members {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o640);
        header.set_uid(7);
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        tar.append(&header, *content).unwrap();
    }
    tar.into_inner().unwrap()
}

/// A docker-archive of one image in the format of `buildImage`, with old-style names.
fn built(name: &str, layers: &[&[u8]]) -> Vec<u8> {
    let diff_ids: Vec<_> = layers.iter().map(|tar| format!("sha256:{}", sha256(tar))).collect();
    let config = json!({"architecture": "amd64", "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": diff_ids}});
    let config = config.to_string();
    let config_name = format!("{}.json", sha256(config.as_bytes()));
    let names: Vec<_> = layers.iter().map(|tar| format!("{}/layer.tar", sha256(tar))).collect();
    let manifest = json!([{"Config": config_name, "RepoTags": [name], "Layers": names}]);
    let (repository, tag) = name.split_once(':').unwrap();
    let repositories = json!({repository: {tag: sha256(layers[0])}}).to_string();
    let manifest = manifest.to_string();
    let mut all: Vec<(&str, &[u8])> = vec![(&config_name, config.as_bytes())];
    all.extend(names.iter().map(String::as_str).zip(layers.iter().copied()));
    all.push(("manifest.json", manifest.as_bytes()));
    all.push(("repositories", repositories.as_bytes()));
    tar_of(&all)
}

/// The image of a conf, in a separate store.
struct Made {
    store: TempStore,
    conf: PathBuf,
}

impl Made {
    fn new(name: &str) -> Self {
        let store = TempStore::new();
        let path = "/nix/store/00000000000000000000000000000000-tree-1.0";
        store.write(&format!("{path}/bin/hello"), format!("#!/bin/sh\n# {name}\n"));
        store.write(&format!("{path}/large"), vec![1; 100_000]);
        let customisation = store.write_customisation_layer(&tar_of(&[("etc", name.as_bytes())]));
        let mut conf = TempStore::conf(&json!([[path]]), &customisation);
        conf["repo_tag"] = json!(name);
        let conf = store.write_conf("conf", &conf);
        Self { store, conf }
    }

    fn stream(&self) -> Vec<u8> {
        stdout_of(&mut self.store.nix_image("stream", &self.conf))
    }
}

/// Files in a folder of a test.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn put(&self, name: &str, content: &[u8]) -> String {
        let place = self.0.path().join(name);
        fs::write(&place, content).unwrap();
        place.to_str().unwrap().to_owned()
    }
}

fn merge(images: &[&str]) -> Command {
    let mut merge = command(NIX_IMAGE, &["merge", "--no-cache"]);
    merge.args(images);
    merge
}

/// Members that are not directories: their contents by name. Each name must be unique.
fn files(tar: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for member in members(tar) {
        let name = String::from_utf8(member.name).unwrap();
        if !name.ends_with('/') {
            let name = name.trim_start_matches("./").to_owned();
            assert!(files.insert(name.clone(), member.content).is_none(), "duplicate {name}");
        }
    }
    files
}

/// nixpkgs' expression with Debian's programs: each archive is unpacked into a folder, these are
/// copied over each other, and jq merges the documents.
const ORACLE: &str = r#"
set -e
mkdir image inputs
number=0
for item in "$@"; do
  number=$((number + 1))
  folder=inputs/$(printf %03d "$number")
  mkdir "$folder"
  case $(file -b --mime-type "$item") in
    application/gzip) gzip -dc "$item" | tar -C "$folder" -x ;;
    application/zstd) zstd -dc "$item" | tar -C "$folder" -x ;;
    *) tar -C "$folder" -xf "$item" ;;
  esac
done
cp -R -n inputs/*/* image/
chmod -R u+w image
jq -s add inputs/*/manifest.json > manifest
if ls inputs/*/repositories > /dev/null 2>&1; then
  jq -s add inputs/*/repositories > image/repositories
fi
mv manifest image/manifest.json
tar -C image --hard-dereference --sort=name --owner=0 --group=0 --transform 's:^\./::' -c .
"#;

#[test]
fn merged_archives_have_what_nixpkgs_expression_makes() {
    ["jq", "file", "zstd"].into_iter().for_each(need);
    let folder = Folder::new();
    let (one, two) = (tar_of(&[("one", b"1")]), tar_of(&[("two", &vec![2; 70_000])]));
    let three = tar_of(&[("three", b"3")]);
    let built_one = folder.put("one.tar", &built("a:1", &[&one, &two]));
    let built_two = folder.put("two.tar.gz", &gzip(&built("a:2", &[&two, &three])));
    let built_three =
        folder.put("three.tar.zst", &zstd::encode_all(&*built("b/é:x", &[&three]), 1).unwrap());
    let made = [Made::new("made:1"), Made::new("made:2")];
    let streams: Vec<_> = made
        .iter()
        .enumerate()
        .map(|(number, made)| folder.put(&format!("stream{number}.tar"), &made.stream()))
        .collect();
    for images in [
        &[&built_one][..],
        &[&built_one, &built_two, &built_three],
        &[&built_three, &streams[0], &built_one, &streams[1]],
        &[&streams[0], &streams[1]],
    ] {
        let work = tempfile::tempdir().unwrap();
        let mut oracle = command("bash", &["-c", ORACLE, "oracle"]);
        oracle.args(images).current_dir(work.path()).env("LC_ALL", "C.UTF-8");
        let expected = files(&stdout_of(&mut oracle));
        let images: Vec<_> = images.iter().map(|image| image.as_str()).collect();
        let ours = stdout_of(merge(&images).arg("--compress=none"));
        let ours = files(&ours);
        let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&ours), names(&expected));
        for (name, content) in &expected {
            assert!(ours[name] == *content, "{name} differs");
        }
    }
}

#[test]
fn owners_and_the_images_order_are_kept() {
    let folder = Folder::new();
    let one = tar_of(&[("one", b"1")]);
    let a = folder.put("a.tar", &built("a:1", &[&one]));
    let b = folder.put("b.tar", &built("b:1", &[&one]));
    let merged = stdout_of(&mut merge(&[&b, &a]));
    let found = members(&merged);
    let layer = found.iter().find(|member| member.name.ends_with(b"layer.tar")).unwrap();
    assert_eq!(&layer.header[100..124], b"0000640\x000000007\x000000000\x00");
    let files = files(&merged);
    let manifest: Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
    let tags: Vec<_> = manifest.as_array().unwrap().iter().map(|it| &it["RepoTags"][0]).collect();
    assert_eq!(tags, ["b:1", "a:1"]);
}

#[test]
fn the_file_is_compressed_as_the_last_image_is() {
    let folder = Folder::new();
    let image = built("a:1", &[&tar_of(&[("one", &vec![1; 3_000_000])])]);
    let plain = folder.put("plain", &image);
    let gz = folder.put("gz", &gzip(&image));
    let zst = folder.put("zst", &zstd::encode_all(&*image, 1).unwrap());
    for (images, option, magic) in [
        (&[&gz, &plain][..], "auto", &b""[..]),
        (&[&plain, &gz], "auto", b"\x1f\x8b"),
        (&[&gz, &zst], "auto", b"\x28\xb5\x2f\xfd"),
        (&[&zst], "none", b""),
        (&[&plain], "gzip", b"\x1f\x8b"),
        (&[&plain], "zstd", b"\x28\xb5\x2f\xfd"),
    ] {
        let images: Vec<_> = images.iter().map(|image| image.as_str()).collect();
        let expected = stdout_of(merge(&images).arg("--compress=none"));
        let out = stdout_of(merge(&images).arg("--compress").arg(option));
        let content = match magic {
            b"" => out,
            _ if magic.len() == 2 => {
                let mut content = Vec::new();
                let mut decoder = flate2::read::MultiGzDecoder::new(&out[..]);
                std::io::Read::read_to_end(&mut decoder, &mut content).unwrap();
                assert!(out.starts_with(magic));
                content
            }
            _ => {
                assert!(out.starts_with(magic));
                zstd::decode_all(&out[..]).unwrap()
            }
        };
        assert!(content == expected, "{images:?} {option}");
    }
}

/// The same image as an archive, as the program that streams it, and as a layout.
#[test]
fn images_that_are_no_archives_are_made_into_them() {
    let made = Made::new("made:1");
    let folder = Folder::new();
    let archive = folder.put("archive.tar", &made.stream());
    let other = folder.put("other.tar", &built("other:1", &[&tar_of(&[("one", b"1")])]));
    let layout = folder.0.path().join("layout");
    let mut write = made.store.nix_image("write", &made.conf);
    stdout_of(write.arg(&layout).args(["--format", "oci"]));
    let root = made.store.root().to_str().unwrap();
    let expected = files(&stdout_of(&mut merge(&[&archive, &other])));
    for image in [made.conf.to_str().unwrap(), &format!("{}#made:1", layout.display())] {
        let merged = stdout_of(merge(&[image, &other]).args(["--store-root", root]));
        let mut merged = files(&merged);
        let manifest: Value = serde_json::from_slice(&merged["manifest.json"]).unwrap();
        let wanted: Value = serde_json::from_slice(&expected["manifest.json"]).unwrap();
        assert_eq!(manifest, wanted, "{image}");
        merged.insert("manifest.json".into(), expected["manifest.json"].clone());
        assert!(merged == expected, "{image}");
    }
}

/// The format in which Docker saves images since version 25: an OCI archive and a docker-archive
/// with the same blobs.
#[test]
fn archives_of_both_kinds_stay_archives_of_both_kinds() {
    let folder = Folder::new();
    let both = ["made:1", "made:2"].map(|name| {
        let made = Made::new(name);
        let place = folder.0.path().join(name.replace(':', "-"));
        let mut write = made.store.nix_image("write", &made.conf);
        stdout_of(write.arg(&place).args(["--format", "oci-archive"]));
        place.to_str().unwrap().to_owned()
    });
    let merged = files(&stdout_of(&mut merge(&[&both[0], &both[1]])));
    let index: Value = serde_json::from_slice(&merged["index.json"]).unwrap();
    assert_eq!(index["manifests"].as_array().unwrap().len(), 2);
    assert!(merged.contains_key("oci-layout"));
    let docker = folder.put("docker.tar", &built("a:1", &[&tar_of(&[("one", b"1")])]));
    for images in [[&both[0], &docker], [&docker, &both[1]]] {
        let merged = files(&stdout_of(&mut merge(&images.map(String::as_str))));
        assert!(!merged.contains_key("index.json") && !merged.contains_key("oci-layout"));
        let manifest: Value = serde_json::from_slice(&merged["manifest.json"]).unwrap();
        assert_eq!(manifest.as_array().unwrap().len(), 2);
    }
}

fn is_loaded(engine: &Engine, compress: &str) {
    let made = Made::new("made:1");
    let folder = Folder::new();
    let one = folder.put("one.tar.gz", &gzip(&built("built:1", &[&tar_of(&[("one", b"1")])])));
    let mut layout = Layout::default();
    let image = layout.image(&[(Form::Zstd, &tar_of(&[("two", b"2")]))], &[]);
    layout.entry(image, Some("laid:1"));
    layout.write(&folder.0.path().join("layout"));
    let layout = folder.0.path().join("layout");
    let merged = folder.0.path().join("merged.tar");
    let images = [&one, layout.to_str().unwrap(), made.conf.to_str().unwrap()];
    let root = made.store.root().to_str().unwrap();
    stdout_of(
        merge(&images).args(["--store-root", root, "--compress", compress, "-o"]).arg(&merged),
    );
    engine.load_archive(&merged);
    let found = engine.images();
    for name in ["built:1", "laid:1", "made:1"] {
        let name = engine.full_name(name);
        assert!(found.iter().any(|image| image.starts_with(&format!("{name} "))), "{found:?}");
    }
}

#[test]
fn docker_loads_all_merged_images() {
    is_loaded(&engines::docker(), "gzip");
}

#[test]
fn podman_loads_all_merged_images() {
    // podman 4.3 cannot read an archive of so few bytes compressed by gzip.
    is_loaded(&engines::podman(), "zstd");
}

#[test]
fn broken_archives_are_errors_and_leave_no_file() {
    let folder = Folder::new();
    let good = folder.put("good.tar", &built("a:1", &[&tar_of(&[("one", b"1")])]));
    let manifest = |config: &str, layers: &Value| {
        json!([{"Config": config, "RepoTags": null, "Layers": layers}]).to_string()
    };
    let absent = manifest("c.json", &json!(["gone.tar"]));
    let present = manifest("c.json", &json!(["l.tar"]));
    let huge = format!("[{}1]", "1,".repeat(200_000));
    let long = " ".repeat(5 << 20);
    let whole = built("b:1", &[&tar_of(&[("one", b"1")])]);
    let mut sparse = Vec::new();
    crate::base::Header::plain(b'S', "holes").write(&crate::base::octal(0), b"", &mut sparse);
    let mut fifo = Vec::new();
    crate::base::Header::plain(b'6', "pipe").write(&crate::base::octal(0), b"", &mut fifo);
    for (case, archive, parts) in [
        ("no manifest", tar_of(&[("a", b"")]), &["`", "has no manifest.json"][..]),
        ("no archive", b"hello".repeat(200), &["is text, but not JSON; expected"]),
        ("cut off", whole[..whole.len() - 1800].to_vec(), &["it is cut off within a header"]),
        ("cut off in a layer", whole[..700].to_vec(), &["cannot read", "unexpected end of file"]),
        (
            "an absent layer",
            tar_of(&[("c.json", b"{}"), ("manifest.json", absent.as_bytes())]),
            &["names `gone.tar`, which is missing"],
        ),
        (
            "no JSON",
            tar_of(&[("manifest.json", b"[{")]),
            &["`manifest.json` of ", "is not valid JSON"],
        ),
        ("no list", tar_of(&[("manifest.json", b"{}")]), &["is not a list of images"]),
        (
            "no layers",
            tar_of(&[("manifest.json", b"[{\"Config\":\"c\"}]")]),
            &["no list of Layers"],
        ),
        ("too many values", tar_of(&[("manifest.json", huge.as_bytes())]), &["100000 values"]),
        ("a document too long", tar_of(&[("manifest.json", long.as_bytes())]), &["5242880 bytes"]),
        ("a way out", tar_of(&[("../evil", b"")]), &["`../evil`", "leads out"]),
        ("a way out within", tar_of(&[("a/../../evil", b"")]), &["leads out"]),
        ("holes", sparse, &["`holes`", "with holes"]),
        ("a pipe", fifo, &["`pipe`", "neither a file"]),
    ] {
        for images in [["broken.tar", "good.tar"], ["good.tar", "broken.tar"]] {
            let broken = folder.put("broken.tar", &archive);
            let out = folder.0.path().join("out.tar");
            let images = images.map(|image| if image == "good.tar" { &*good } else { &*broken });
            let said = failure_of(merge(&images).arg("-o").arg(&out));
            for part in parts {
                assert!(said.contains(part), "{case}: {said}");
            }
            assert!(said.contains("broken.tar"), "{case}: {said}");
            let left = fs::read_dir(folder.0.path()).unwrap().count();
            assert_eq!(left, 2, "{case}: nothing but the images is there");
        }
    }
    // Each is valid by itself.
    let one = folder.put(
        "x.tar",
        &tar_of(&[("c.json", b"{}"), ("l.tar", b"1"), ("manifest.json", present.as_bytes())]),
    );
    let two = folder.put(
        "y.tar",
        &tar_of(&[("c.json", b"{}"), ("l.tar", b"22"), ("manifest.json", present.as_bytes())]),
    );
    let said = failure_of(&mut merge(&[&one, &two]));
    assert!(said.contains("different members `l.tar`") && said.contains("y.tar"), "{said}");
    let said = failure_of(&mut merge(&[&one, "/nowhere"]));
    assert!(said.contains("/nowhere"), "{said}");
}

#[test]
fn merging_takes_little_memory_whatever_the_images_hold() {
    let mut python = Python::start(peak_memory::SCRIPT);
    let folder = Folder::new();
    let layer = tar_of(&[("large", &vec![7; 60 << 20])]);
    let image = built("a:1", &[&layer]);
    let plain = folder.put("plain.tar", &image);
    let zst = folder.put("zst.tar", &zstd::encode_all(&*image, 1).unwrap());
    let made = Made::new("made:1");
    made.store
        .write("/nix/store/00000000000000000000000000000000-tree-1.0/huge", vec![9; 60 << 20]);
    let conf = made.conf.to_str().unwrap();
    let root = made.store.root().to_str().unwrap();
    for how in ["none", "gzip", "zstd"] {
        let mut command = merge(&[&plain, &zst, conf]);
        command.args(["--store-root", root, "--compress", how]);
        let kilobytes = peak_memory::of(&mut python, &command);
        assert!(kilobytes < 128 << 10, "{how}: {kilobytes} kB");
    }
    // Endless names.
    let mut tar = Vec::new();
    for number in 0..200_000 {
        let name = format!("{number:0>90}");
        crate::base::Header::plain(b'0', &name).write(&crate::base::octal(0), b"", &mut tar);
    }
    let endless = folder.put("endless.tar", &tar);
    let said = failure_of(&mut merge(&[&endless]));
    assert!(said.contains("endless.tar") && said.contains("more than 28 MiB"), "{said}");
    assert!(Path::new(&endless).exists());
}
