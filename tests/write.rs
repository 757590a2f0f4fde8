//! `nix-image write`: layouts and archives, as other programs read them.

use crate::golden::Golden;
use crate::support::engines::{self, Engine};
use crate::support::{
    self, NIX_IMAGE, TempStore, failure_of, need, need_root, sha256, skip, stdout_of, without_start,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

fn write(store: &TempStore, conf: &Path, path: &Path, format: &str, tag: &str) -> Command {
    let mut command = store.nix_image("write", conf);
    command.arg(path).args(["--format", format, "-t", tag]);
    command
}

/// Runs it, and returns the line about what was written, without the time that it took.
fn said(mut command: Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{command:?} failed and said:\n{said}");
    assert!(output.stdout.is_empty(), "standard output is for data");
    without_start(&said).trim().rsplit_once(", ").unwrap().0.to_owned()
}

fn json_file(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn blob(layout: &Path, digest: &Value) -> PathBuf {
    layout.join("blobs").join(digest.as_str().unwrap().replace(':', "/"))
}

/// Checks everything that a layout's index leads to, and returns its tags.
fn check_layout(layout: &Path) -> Vec<String> {
    assert_eq!(json_file(&layout.join("oci-layout")), json!({"imageLayoutVersion": "1.0.0"}));
    let check = |descriptor: &Value| {
        let bytes = fs::read(blob(layout, &descriptor["digest"])).unwrap();
        assert_eq!(descriptor["size"], bytes.len());
        assert_eq!(descriptor["digest"], format!("sha256:{}", sha256(&bytes)));
    };
    let index = json_file(&layout.join("index.json"));
    let tags = index["manifests"].as_array().unwrap().iter().map(|entry| {
        check(entry);
        let manifest = json_file(&blob(layout, &entry["digest"]));
        check(&manifest["config"]);
        manifest["layers"].as_array().unwrap().iter().for_each(check);
        entry["annotations"]["org.opencontainers.image.ref.name"].as_str().unwrap().to_owned()
    });
    tags.collect()
}

/// The digest of the config that skopeo finds in an image.
fn skopeo_id(store: &TempStore, image: &str) -> String {
    let place = store.root().join("copy");
    let _ = fs::remove_dir_all(&place);
    let to = format!("dir:{}", place.display());
    let copy = ["copy", "--insecure-policy", "--quiet", "--src-tls-verify=false", image, &to];
    stdout_of(&mut support::command("skopeo", &copy));
    let manifest = json_file(&place.join("manifest.json"));
    manifest["config"]["digest"].as_str().unwrap().trim_start_matches("sha256:").to_owned()
}

/// Writes images into one layout, calling `look` after each, and returns the layout.
fn grow_layout(golden: &Golden, look: impl Fn(&str, &Path, &str)) -> PathBuf {
    let layout = golden.store.root().join("layout");
    for (case, tag, expected, tags) in [
        ("everything", "golden:1", "8 of 8 layers", &["1"][..]),
        ("everything", "golden:1", "0 of 8 layers, 0 bytes", &["1"]),
        ("base-gz", "golden:2", "2 of 10 layers", &["1", "2"]),
        ("simple", "golden:1", "0 of 2 layers", &["2", "1"]),
        ("everything", "ghcr.io/me/other:3", "0 of 8 layers", &["2", "1", "3"]),
    ] {
        let conf = golden.arguments(case).0;
        let said = said(write(&golden.store, &conf, &layout, "oci", tag));
        assert!(said.starts_with(&format!("wrote {tag} to ")), "{said}");
        assert!(said.contains(expected), "{case} as {tag}: {said}");
        assert_eq!(check_layout(&layout), tags);
        look(case, &layout, tag.rsplit_once(':').unwrap().1);
    }
    layout
}

#[test]
fn a_layout_grows() {
    grow_layout(&Golden::new(), |_, _, _| {});
}

#[test]
fn skopeo_reads_a_layout_that_grows() {
    need("skopeo");
    let golden = Golden::new();
    grow_layout(&golden, |case, layout, tag| {
        let id = skopeo_id(&golden.store, &format!("oci:{}:{tag}", layout.display()));
        assert_eq!(golden.expected[case]["config"], id);
    });
}

#[test]
fn umoci_unpacks_an_image_of_a_layout() {
    need("umoci");
    need_root("unpack an image with umoci");
    let golden = Golden::new();
    let layout = grow_layout(&golden, |_, _, _| {});
    let bundle = golden.store.root().join("bundle").display().to_string();
    let image = format!("{}:3", layout.display());
    stdout_of(&mut support::command("umoci", &["unpack", "--image", &image, &bundle]));
    assert!(fs::read_dir(Path::new(&bundle).join("rootfs/nix/store")).unwrap().count() > 5);
}

/// The names in a layout: full names, and the names by which images are chosen.
fn chosen_by(layout: &Path) -> Vec<(String, String)> {
    let index = json_file(&layout.join("index.json"));
    let mut names: Vec<_> = index["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            let text = |key: &str| entry["annotations"][key].as_str().unwrap().to_owned();
            (text("io.containerd.image.name"), text("org.opencontainers.image.ref.name"))
        })
        .collect();
    names.sort();
    names
}

/// Images with the same tag: the golden case and the name.
const ONE_TAG: [(&str, &str); 3] =
    [("everything", "a:latest"), ("simple", "b:latest"), ("base-gz", "ghcr.io/me/c:latest")];

fn whole_name(name: &str) -> String {
    if name.contains('/') { name.to_owned() } else { format!("docker.io/library/{name}") }
}

/// A layout of the images with the same tag.
fn layout_of_one_tag(golden: &Golden) -> PathBuf {
    let layout = golden.store.root().join("layout");
    let images = ONE_TAG;
    let (case, first) = images[0];
    said(write(&golden.store, &golden.arguments(case).0, &layout, "oci", first));
    assert_eq!(check_layout(&layout), ["latest"]);
    for (number, (case, name)) in images.into_iter().enumerate().skip(1) {
        let output =
            write(&golden.store, &golden.arguments(case).0, &layout, "oci", name).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(&format!("wrote {name} to ")), "{said}");
        let names: Vec<_> = images[..=number].iter().map(|(_, name)| *name).collect();
        assert_eq!(check_layout(&layout), names);
        let listed = format!("now named `{}`", names.join("`, `"));
        assert!(said.contains("warning: ") && said.contains(&listed), "{said}");
    }
    layout
}

#[test]
fn of_images_with_one_tag_only_that_of_the_same_name_is_replaced() {
    let golden = Golden::new();
    let layout = layout_of_one_tag(&golden);
    let names = ONE_TAG.map(|(_, name)| (whole_name(name), name.to_owned()));
    assert_eq!(chosen_by(&layout), names);
    // However the name is written.
    let conf = golden.arguments("simple").0;
    said(write(&golden.store, &conf, &layout, "oci", "docker.io/library/a:latest"));
    assert_eq!(chosen_by(&layout), names);
}

#[test]
fn skopeo_chooses_among_images_with_one_tag() {
    need("skopeo");
    let golden = Golden::new();
    let layout = layout_of_one_tag(&golden);
    for (case, name) in ONE_TAG {
        let id = skopeo_id(&golden.store, &format!("oci:{}:{name}", layout.display()));
        assert_eq!(id, golden.id(case), "{name}");
    }
}

#[test]
fn podman_chooses_among_images_with_one_tag() {
    let podman = engines::podman();
    let golden = Golden::new();
    layout_of_one_tag(&golden);
    for (case, name) in ONE_TAG {
        // podman derives a name from the path, and names have no capitals.
        let mut pull = podman.command("podman", &["pull", "-q", &format!("oci:layout:{name}")]);
        let pulled = stdout_of(pull.current_dir(golden.store.root()));
        assert_eq!(String::from_utf8(pulled).unwrap().trim(), golden.id(case), "{name}");
    }
}

#[test]
fn umoci_chooses_among_images_with_one_tag() {
    need("umoci");
    need_root("read an image with umoci");
    let golden = Golden::new();
    let layout = layout_of_one_tag(&golden);
    for (_, name) in ONE_TAG {
        let place = format!("{}:{name}", layout.display());
        stdout_of(&mut support::command("umoci", &["stat", "--json", "--image", &place]));
    }
}

#[test]
fn containerd_imports_all_images_with_one_tag() {
    let containerd = engines::containerd();
    let golden = Golden::new();
    let layout = layout_of_one_tag(&golden).display().to_string();
    let archive = golden.store.root().join("layout.tar").display().to_string();
    stdout_of(&mut support::command("tar", &["-C", &layout, "-cf", &archive, "."]));
    stdout_of(&mut containerd.command("ctr", &["images", "import", &archive]));
    let image =
        |(case, name): (&str, &str)| format!("{} sha256:{}", whole_name(name), golden.id(case));
    let mut expected = ONE_TAG.map(image);
    expected.sort();
    assert_eq!(containerd.images(), expected);
}

/// skopeo writes no full names, so for what it called `latest` no other name is known.
#[test]
fn images_that_skopeo_wrote_stay() {
    let golden = Golden::new();
    need("skopeo");
    let place = |name: &str| golden.store.root().join(name).display().to_string();
    let conf = golden.arguments("everything").0;
    said(write(&golden.store, &conf, Path::new(&place("one")), "oci", "a:latest"));
    for name in ["latest", "b:latest"] {
        let from = format!("oci:{}:latest", place("one"));
        let to = format!("oci:{}:{name}", place("layout"));
        stdout_of(&mut support::command(
            "skopeo",
            &["copy", "--insecure-policy", "-q", &from, &to],
        ));
    }
    let simple = golden.arguments("simple").0;
    let layout = place("layout");
    let mut command = write(&golden.store, &simple, Path::new(&layout), "oci", "a:latest");
    assert!(command.output().unwrap().status.success());
    for (name, case) in
        [("latest", "everything"), ("b:latest", "everything"), ("a:latest", "simple")]
    {
        let id = skopeo_id(&golden.store, &format!("oci:{layout}:{name}"));
        assert_eq!(golden.expected[case]["config"], id, "{name}");
    }
}

#[test]
fn a_blob_with_the_wrong_content_is_found_by_verify() {
    let golden = Golden::new();
    let layout = golden.store.root().join("layout");
    let conf = golden.arguments("simple").0;
    let write = || write(&golden.store, &conf, &layout, "oci", "a:1");
    said(write());
    let digest = &json_file(&layout.join("index.json"))["manifests"][0]["digest"];
    let manifest = blob(&layout, digest);
    let content = json_file(&manifest);
    let layer = blob(&layout, &content["layers"][1]["digest"]);
    let damage = |file: &Path| {
        let mut bytes = fs::read(file).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(file, bytes).unwrap();
    };
    damage(&layer);
    // A layer of the right size is trusted; that is what makes an unchanged write fast.
    assert!(said(write()).contains("0 of 2 layers"));
    let mut command = write();
    let output = command.arg("--verify").output().unwrap();
    let found = String::from_utf8(output.stderr).unwrap();
    assert!(found.contains("1 of 2 layers"), "{found}");
    let warning = format!("warning: `{}` was damaged", layer.display());
    assert!(found.contains(&warning), "{found}");
    check_layout(&layout);
    let mut command = write();
    command.arg("--verify");
    assert!(said(command).contains("0 of 2 layers"));
    // The small documents are in memory, and always compared.
    for file in [&manifest, &blob(&layout, &content["config"]["digest"])] {
        damage(file);
        assert!(write().output().unwrap().status.success());
        check_layout(&layout);
    }
}

/// After a power loss there must be no name without its content, and no index without what it
/// refers to. So each file is synced before it gets its name, and the blobs' names before the
/// index.
#[test]
fn what_has_a_name_is_on_the_disk() {
    let golden = Golden::new();
    need("strace");
    let conf = golden.arguments("everything").0;
    for (format, files) in [("oci", 8 + 2 + 3), ("oci-archive", 1), ("docker-archive", 1)] {
        let folder = golden.store.root().join(format);
        fs::create_dir(&folder).unwrap();
        let trace = golden.store.root().join("trace");
        let target = folder.join("new/image");
        let target = if format == "oci" { target } else { folder.join("image") };
        let written = write(&golden.store, &conf, &target, format, "a:1");
        let mut command =
            support::command("strace", &["-f", "-y", "-e", "trace=fsync,/^rename", "-o"]);
        command.arg(&trace).arg(written.get_program()).args(written.get_args()).arg("--no-cache");
        stdout_of(&mut command);
        let trace = fs::read_to_string(&trace).unwrap();
        let (mut synced, mut named) = (HashSet::new(), Vec::new());
        for line in trace.lines().filter(|line| !line.contains("resumed>")) {
            if let Some((_, rest)) = line.split_once("fsync(") {
                let path = rest.split_once('<').unwrap().1.split_once('>').unwrap().0;
                synced.insert(path.to_owned());
                named.retain(|name: &PathBuf| name.parent() != Some(Path::new(path)));
            } else if line.contains(".nix-image-") {
                let mut names = line.split('"').skip(1).step_by(2);
                let (temporary, name) =
                    (names.next().unwrap(), PathBuf::from(names.next().unwrap()));
                assert!(synced.remove(temporary), "{format}: {temporary} is not on the disk");
                if name.ends_with("index.json") {
                    let blobs = target.join("blobs/sha256");
                    assert!(!named.iter().any(|name| name.parent() == Some(&blobs)), "{trace}");
                }
                named.push(name);
            }
        }
        assert_eq!(named, [""; 0].map(PathBuf::from), "{format}: {trace}");
        let renames = trace.matches(".nix-image-").count() / 2;
        assert!(renames >= files, "{format}: {renames} files only: {trace}");
        if format == "oci" {
            for new in [&folder, &folder.join("new"), &target, &target.join("blobs")] {
                assert!(synced.contains(new.to_str().unwrap()), "{}: {trace}", new.display());
            }
        }
    }
}

/// A layout of the golden image `simple`, and the paths of its documents and first layer.
#[derive(Debug)]
struct SimpleLayout {
    layout: PathBuf,
    conf: PathBuf,
    manifest: PathBuf,
    layer: PathBuf,
}

impl SimpleLayout {
    fn write(golden: &Golden) -> Self {
        let layout = golden.store.root().join("layout");
        let conf = golden.arguments("simple").0;
        said(write(&golden.store, &conf, &layout, "oci", "a:1"));
        let index = json_file(&layout.join("index.json"));
        let manifest = blob(&layout, &index["manifests"][0]["digest"]);
        let layer = blob(&layout, &json_file(&manifest)["layers"][0]["digest"]);
        Self { layout, conf, manifest, layer }
    }
}

#[test]
fn what_is_damaged_or_left_in_a_layout_is_put_right() {
    let golden = Golden::new();
    let SimpleLayout { layout, conf, layer, .. } = SimpleLayout::write(&golden);
    for damage in ["short", "link", "gone"] {
        let outside = golden.store.root().join("outside");
        fs::write(&outside, "not to be written to").unwrap();
        match damage {
            "short" => fs::write(&layer, "x").unwrap(),
            "link" => {
                fs::remove_file(&layer).unwrap();
                std::os::unix::fs::symlink(&outside, &layer).unwrap();
            }
            _ => fs::remove_file(&layer).unwrap(),
        }
        fs::write(layout.join(".nix-image-1-0.tmp"), "left by a killed run").unwrap();
        let said = said(write(&golden.store, &conf, &layout, "oci", "a:1"));
        assert!(said.contains("1 of 2 layers"), "{damage}: {said}");
        check_layout(&layout);
        assert_eq!(fs::read_to_string(outside).unwrap(), "not to be written to");
        assert!(!layout.join(".nix-image-1-0.tmp").exists());
    }
}

#[test]
fn what_is_no_file_in_a_layout_is_refused() {
    let golden = Golden::new();
    let SimpleLayout { layout, conf, manifest, layer } = SimpleLayout::write(&golden);
    for (path, kind, expected) in [
        (&layer, "directory", "is a directory, expected a file; remove it"),
        (&manifest, "directory", "is a directory, expected a file; remove it"),
        (&layout.join("index.json"), "directory", "is not a regular file; remove it"),
        (&layout.join("index.json"), "pipe", "is not a regular file; remove it"),
        (&layout.join("oci-layout"), "pipe", "is not a regular file; remove it"),
    ] {
        let aside = golden.store.root().join("aside");
        fs::rename(path, &aside).unwrap();
        if kind == "pipe" {
            stdout_of(Command::new("mkfifo").arg(path));
        } else {
            fs::create_dir(path).unwrap();
        }
        let mut command = write(&golden.store, &conf, &layout, "oci", "a:1");
        let error = failure_of(command.arg("--verify"));
        assert!(error.contains(&*path.to_string_lossy()), "{kind}: {error}");
        assert!(error.contains(expected), "{kind}: {error}");
        fs::remove_file(path).or_else(|_| fs::remove_dir(path)).unwrap();
        fs::rename(&aside, path).unwrap();
    }
}

/// One run makes a directory a layout while another one checks whether it may.
#[test]
fn a_layout_that_is_just_being_made_is_one() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..1000 {
        let layout = folder.path().join(round.to_string());
        fs::create_dir(&layout).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                fs::write(layout.join(".nix-image-new"), r#"{"imageLayoutVersion":"1.0.0"}"#)
                    .unwrap();
                fs::rename(layout.join(".nix-image-new"), layout.join("oci-layout")).unwrap();
            });
            while !layout.join("oci-layout").exists() {
                delivery::OciLayout::open(&layout, &"a:1".parse().unwrap()).unwrap();
            }
        });
    }
}

/// Writes images as archives: the cases, each with its OCI archive and docker-archive.
fn archives(golden: &Golden) -> [(&'static str, PathBuf, PathBuf); 3] {
    ["everything", "base-gz", "empty-layer"].map(|case| {
        let conf = golden.arguments(case).0;
        let place = |kind| golden.store.root().join(format!("{case}-{kind}.tar"));
        let (oci, docker) = (place("oci"), place("docker"));
        said(write(&golden.store, &conf, &oci, "oci-archive", "golden:1"));
        said(write(&golden.store, &conf, &docker, "docker-archive", "golden:1"));
        (case, oci, docker)
    })
}

#[test]
fn a_docker_archive_is_the_stream() {
    let golden = Golden::new();
    for (case, _, docker) in archives(&golden) {
        let conf = golden.arguments(case).0;
        let stream = stdout_of(&mut golden.store.nix_image("stream", &conf));
        assert!(fs::read(&docker).unwrap() == stream, "{case}: the file is not the stream");
    }
}

#[test]
fn skopeo_reads_archives() {
    need("skopeo");
    let golden = Golden::new();
    for (case, oci, docker) in archives(&golden) {
        let images = [("oci-archive", &oci), ("docker-archive", &oci), ("docker-archive", &docker)];
        for (transport, path) in images {
            let image = format!("{transport}:{}", path.display());
            assert_eq!(skopeo_id(&golden.store, &image), golden.id(case), "{case}: {image}");
        }
    }
}

fn reads_archives(engine: &Engine) {
    let golden = Golden::new();
    for (case, oci, _) in archives(&golden) {
        engine.load_archive(&oci);
        let images = engine.images();
        let image = format!("golden:1 sha256:{}", golden.id(case));
        assert!(images.iter().any(|found| found.ends_with(&image)), "{case}: {images:?}");
    }
}

#[test]
fn docker_reads_archives() {
    reads_archives(&engines::docker());
}

#[test]
fn podman_reads_archives() {
    reads_archives(&engines::podman());
}

#[test]
fn containerd_reads_archives() {
    reads_archives(&engines::containerd());
}

/// A base image in which one of the layers is compressed.
fn with_compressed_base(store: &TempStore, compress: impl Fn(&[u8]) -> Vec<u8>) -> PathBuf {
    let mut layer = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(4);
    header.set_mode(0o644);
    layer.append_data(&mut header, "base-file", &b"base"[..]).unwrap();
    let layer = layer.into_inner().unwrap();
    let diff_id = format!("sha256:{}", sha256(&layer));
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
    });
    let manifest = json!([{"Config": "config.json", "RepoTags": [], "Layers": ["layer"]}]);
    let mut base = tar::Builder::new(Vec::new());
    for (name, content) in [
        ("layer", compress(&layer)),
        ("config.json", config.to_string().into_bytes()),
        ("manifest.json", manifest.to_string().into_bytes()),
    ] {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        base.append_data(&mut header, name, &*content).unwrap();
    }
    let path = format!("/nix/store/{}-base.tar", "b".repeat(32));
    store.write(&path, base.into_inner().unwrap());
    let customisation = store.write_customisation_layer(b"");
    let mut conf = TempStore::conf(&json!([]), &customisation);
    conf["from_image"] = path.into();
    store.write_conf("based", &conf)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

/// Writes layouts with a base image's layer, compressed or not: the layout, and the suffix of the
/// layer's media type.
fn layouts_with_a_base(look: impl Fn(&TempStore, &Path, &str)) {
    for (ending, compress) in [
        ("+gzip", gzip as fn(&[u8]) -> Vec<u8>),
        ("+zstd", |bytes| zstd::encode_all(bytes, 3).unwrap()),
        ("", <[u8]>::to_vec),
    ] {
        let store = TempStore::new();
        let conf = with_compressed_base(&store, compress);
        let layout = store.root().join("layout");
        for _ in 0..2 {
            said(write(&store, &conf, &layout, "oci", "test:1"));
            check_layout(&layout);
        }
        look(&store, &layout, ending);
    }
}

#[test]
fn compressed_layers_of_a_base_are_announced_as_such() {
    const TYPE: &str = "application/vnd.oci.image.layer.v1.tar";
    layouts_with_a_base(|_, layout, ending| {
        let index = json_file(&layout.join("index.json"));
        let manifest = json_file(&blob(layout, &index["manifests"][0]["digest"]));
        assert_eq!(manifest["layers"][0]["mediaType"], format!("{TYPE}{ending}"));
        let config = json_file(&blob(layout, &manifest["config"]["digest"]));
        let same = config["rootfs"]["diff_ids"][0] == manifest["layers"][0]["digest"];
        assert_eq!(same, ending.is_empty());
    });
}

#[test]
fn skopeo_reads_compressed_layers_of_a_base() {
    need("skopeo");
    layouts_with_a_base(|store, layout, _| {
        skopeo_id(store, &format!("oci:{}:1", layout.display()));
    });
}

/// A file that was edited in place, with its time set back, does not match its remembered digest.
#[test]
fn a_wrong_digest_never_gets_a_name() {
    for format in ["oci", "oci-archive", "docker-archive"] {
        let store = TempStore::new();
        let path = format!("/nix/store/{}-edited", "e".repeat(32));
        store.write(&format!("{path}/file"), "before");
        let customisation = store.write_customisation_layer(b"");
        let conf = store.write_conf("edited", &TempStore::conf(&json!([[path]]), &customisation));
        stdout_of(&mut store.nix_image("stream", &conf));
        let file = File::options().write(true).open(store.place(&format!("{path}/file"))).unwrap();
        let modified = file.metadata().unwrap().modified().unwrap();
        (&file).write_all(b"after!").unwrap();
        file.set_modified(modified).unwrap();
        let folder = store.root().join("out");
        fs::create_dir(&folder).unwrap();
        let target = folder.join("image");
        let error = failure_of(&mut write(&store, &conf, &target, format, "test:1"));
        assert!(error.contains("run the command again"), "{format}: {error}");
        if format == "oci" {
            assert_eq!(check_layout(&target), [""; 0]);
        }
        if format != "oci" {
            assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "{format} left something");
        }
        said(write(&store, &conf, &target, format, "test:1"));
    }
}

#[test]
fn a_full_disk_is_an_error_and_leaves_nothing_half_written() {
    const RUN: &str = "mount -t tmpfs -o size=1m tmpfs \"$0\" && cd \"$0\" || exit 99
        \"$@\"; status=$?; find . -type f -size +300k; exit $status";
    let golden = Golden::new();
    let disk = golden.store.root().join("disk");
    fs::create_dir(&disk).unwrap();
    for format in ["oci", "oci-archive", "docker-archive"] {
        let mut command = support::command("unshare", &["-m", "sh", "-c", RUN]);
        command.arg(&disk).arg(NIX_IMAGE).arg("write").arg(golden.arguments("sizes").0);
        command.args(["image", "--format", format]).arg("--store-root").arg(golden.store.root());
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        if output.status.code() == Some(99) || said.contains("unshare") {
            skip("cannot mount a small disk; that needs root");
        }
        assert_eq!(output.status.code(), Some(1), "{format}: {said}");
        assert!(said.contains("writing `image"), "{format}: {said}");
        assert!(said.contains("No space left"), "{format}: {said}");
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "", "{format} left a file");
    }
}

#[test]
fn what_is_no_place_for_an_image_is_refused() {
    let golden = Golden::new();
    let conf = golden.arguments("simple").0;
    let place = |name: &str| golden.store.root().join(name);
    let with = |name: &str, file: &str, content: &[u8]| {
        fs::create_dir(place(name)).unwrap();
        fs::write(place(name).join(file), content).unwrap();
    };
    let marker = br#"{"imageLayoutVersion":"1.0.0"}"#;
    fs::write(place("file"), "").unwrap();
    with("foreign", "precious", b"");
    with("future", "oci-layout", br#"{"imageLayoutVersion":"2.0.0"}"#);
    with("marker", "oci-layout", b"{");
    with("index", "oci-layout", marker);
    fs::write(place("index/index.json"), "[]").unwrap();
    with("huge", "oci-layout", marker);
    File::create(place("huge/index.json")).unwrap().set_len(1 << 40).unwrap();
    for (name, format, tag, expected) in [
        ("file", "oci", "a:1", "is a file"),
        ("foreign", "oci", "a:1", "`precious`"),
        ("future", "oci", "a:1", "2.0.0"),
        ("marker", "oci", "a:1", "oci-layout"),
        ("index", "oci", "a:1", "index.json"),
        ("huge", "oci", "a:1", "bytes"),
        ("image.tar", "oci", "a:1", "is the name of an archive"),
        ("foreign", "oci-archive", "a:1", "is a directory"),
        ("foreign", "docker-archive", "a:1", "is a directory"),
        ("none/file", "oci-archive", "a:1", "none"),
        ("new", "oci", "A:1", "image name"),
        ("new", "oci", "../a:1", "image name"),
        ("new", "oci-archive", "a:/1", "image name"),
    ] {
        let error = failure_of(&mut write(&golden.store, &conf, &place(name), format, tag));
        assert!(error.contains(expected), "{name} {format} {tag}: {error}");
    }
    assert!(place("foreign/precious").exists());
}

/// `/dev/stdout` is a name of standard output, where a program reads the archive.
#[test]
fn pipes_are_written_to_and_stay() {
    let golden = Golden::new();
    let conf = golden.arguments("simple").0;
    let fifo = golden.store.root().join("fifo");
    stdout_of(&mut support::command("mkfifo", &[&fifo]));
    for format in ["docker-archive", "oci-archive"] {
        let file = golden.store.root().join("file");
        said(write(&golden.store, &conf, &file, format, "a:1"));
        let file = fs::read(file).unwrap();
        let reader = support::command("cat", &[&fifo]).stdout(Stdio::piped()).spawn().unwrap();
        said(write(&golden.store, &conf, &fifo, format, "a:1"));
        assert!(fs::symlink_metadata(&fifo).unwrap().file_type().is_fifo(), "{format}");
        assert!(reader.wait_with_output().unwrap().stdout == file, "{format}");
        let stdout = Path::new("/dev/stdout");
        let piped = stdout_of(&mut write(&golden.store, &conf, stdout, format, "a:1"));
        assert!(piped == file, "{format}");
        // What a file already contains stays, and a closed standard output accepts nothing.
        let log = golden.store.root().join("log");
        fs::write(&log, "before").unwrap();
        let mut appending = write(&golden.store, &conf, stdout, format, "a:1");
        appending.stdout(fs::File::options().append(true).open(&log).unwrap());
        assert!(appending.status().unwrap().success());
        assert!(fs::read(&log).unwrap() == [&b"before"[..], &file].concat(), "{format}");
        let closed = write(&golden.store, &conf, stdout, format, "a:1");
        let mut shell = Command::new("sh");
        shell.args(["-c", "exec \"$@\" >&-", "sh"]).arg(closed.get_program());
        let error = failure_of(shell.args(closed.get_args()));
        assert!(error.contains("standard output is closed"), "{error}");
    }
}

#[test]
fn what_a_killed_run_left_beside_an_archive_goes() {
    let golden = Golden::new();
    let folder = golden.store.root().join("out");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join(".nix-image-1-0.tmp"), "left by a killed run").unwrap();
    let conf = golden.arguments("simple").0;
    said(write(&golden.store, &conf, &folder.join("image"), "oci-archive", "a:1"));
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
}

#[test]
fn a_signal_leaves_no_temporary_file() {
    let store = TempStore::new();
    let path = format!("/nix/store/{}-large", "1".repeat(32));
    store.write(&format!("{path}/file"), vec![1; 64 << 20]);
    let customisation = store.write_customisation_layer(&[0; 1024]);
    let conf = store.write_conf("large", &TempStore::conf(&json!([[path]]), &customisation));
    for (format, signal) in
        [("docker-archive", Signal::INT), ("oci-archive", Signal::TERM), ("oci", Signal::HUP)]
    {
        let folder = store.root().join(format);
        fs::create_dir(&folder).unwrap();
        let place = if format == "oci" { folder.clone() } else { folder.join("image.tar") };
        let mut write = write(&store, &conf, &place, format, "a:1");
        let mut write = write.stderr(Stdio::null()).spawn().unwrap();
        let temporary = || {
            let names = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name());
            names.filter(|name| name.to_string_lossy().ends_with(".tmp")).count()
        };
        while temporary() == 0 {
            assert!(write.try_wait().unwrap().is_none(), "{format}: it was too fast");
            std::thread::yield_now();
        }
        kill_process(Pid::from_child(&write), signal).unwrap();
        assert_eq!(write.wait().unwrap().signal(), Some(signal.as_raw()), "{format}");
        assert_eq!(temporary(), 0, "{format}");
    }
}

/// dockerd rejects archives that name an image without a tag.
#[test]
fn a_name_without_a_tag_gets_one() {
    let golden = Golden::new();
    let conf = golden.arguments("simple").0;
    let place = golden.store.root().join("image");
    let said = said(write(&golden.store, &conf, &place, "oci-archive", "me/app"));
    assert!(said.starts_with("wrote me/app:latest to "), "{said}");
    let archive = fs::read(&place).unwrap();
    let mut archive = tar::Archive::new(&*archive);
    let mut members = archive.entries().unwrap().map(Result::unwrap);
    let manifest = members.find(|member| *member.path_bytes() == *b"manifest.json").unwrap();
    let manifest: Value = serde_json::from_reader(manifest).unwrap();
    assert_eq!(manifest[0]["RepoTags"], json!(["me/app:latest"]));
}

#[test]
fn a_killed_run_leaves_a_valid_layout() {
    let golden = Golden::new();
    let layout = golden.store.root().join("layout");
    let mut first = write(&golden.store, &golden.arguments("sizes").0, &layout, "oci", "a:0");
    let mut first = first.stderr(Stdio::null()).spawn().unwrap();
    // A directory is a layout from its first blob on.
    let blobs = layout.join("blobs/sha256");
    while fs::read_dir(&blobs).map_or(0, Iterator::count) == 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    let _ = first.kill();
    first.wait().unwrap();
    check_layout(&layout);
    fs::remove_dir_all(&layout).unwrap();
    said(write(&golden.store, &golden.arguments("simple").0, &layout, "oci", "a:1"));
    let conf = golden.arguments("everything").0;
    for delay in 0..20 {
        let mut child = write(&golden.store, &conf, &layout, "oci", "a:2")
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(delay * 2));
        let _ = child.kill();
        child.wait().unwrap();
        assert_eq!(check_layout(&layout)[0], "1");
    }
    said(write(&golden.store, &conf, &layout, "oci", "a:2"));
    assert_eq!(check_layout(&layout), ["1", "2"]);
    let left = fs::read_dir(&layout)
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().ends_with(".tmp"));
    assert_eq!(left.count(), 0);
}

/// Confs of one image for two platforms, which share a layer.
fn for_two_platforms(store: &TempStore) -> [PathBuf; 2] {
    ["amd64", "arm64"].map(|architecture| {
        let own = format!("/nix/store/{}-{architecture}", "p".repeat(32));
        store.write(&format!("{own}/bin"), architecture);
        store.write(&format!("/nix/store/{}-data/file", "d".repeat(32)), "shared");
        let layers = json!([[format!("/nix/store/{}-data", "d".repeat(32))], [own]]);
        let mut conf = TempStore::conf(&layers, &store.write_customisation_layer(&[0; 10240]));
        conf["architecture"] = json!(architecture);
        store.write_conf(architecture, &conf)
    })
}

/// Writes both into one place, and returns the message.
fn write_platforms(store: &TempStore, place: &Path, format: &str) -> String {
    let [amd64, arm64] = for_two_platforms(store);
    let mut command = write(store, &amd64, place, format, "me/app:1");
    command.arg("--platform-conf").arg(arm64);
    said(command)
}

/// Checks an index of both platforms. `read` gets a blob by its digest.
fn check_platforms(index: &Value, read: impl Fn(&Value) -> Vec<u8>) {
    let entries = index["manifests"].as_array().unwrap();
    assert_eq!(entries.len(), 1);
    let entry = &entries[0];
    assert_eq!(entry["mediaType"], "application/vnd.oci.image.index.v1+json");
    assert_eq!(entry["annotations"]["org.opencontainers.image.ref.name"], "1");
    let index: Value = serde_json::from_slice(&read(&entry["digest"])).unwrap();
    let mut layers = Vec::new();
    for (entry, architecture) in
        index["manifests"].as_array().unwrap().iter().zip(["amd64", "arm64"])
    {
        assert_eq!(entry["platform"], json!({ "architecture": architecture, "os": "linux" }));
        let manifest: Value = serde_json::from_slice(&read(&entry["digest"])).unwrap();
        let config: Value = serde_json::from_slice(&read(&manifest["config"]["digest"])).unwrap();
        assert_eq!(config["architecture"], architecture);
        layers.extend(manifest["layers"].as_array().unwrap().iter().cloned());
    }
    assert_eq!(layers.len(), 6);
    for layer in &layers {
        assert_eq!(layer["digest"], format!("sha256:{}", sha256(&read(&layer["digest"]))));
    }
    assert_eq!(layers[0]["digest"], layers[3]["digest"]);
    assert_ne!(layers[1]["digest"], layers[4]["digest"]);
}

#[test]
fn a_layout_has_the_images_of_several_platforms_under_one_name() {
    let store = TempStore::new();
    let layout = store.root().join("layout");
    for expected in ["4 of 6 layers", "0 of 6 layers, 0 bytes"] {
        let said = write_platforms(&store, &layout, "oci");
        assert!(said.starts_with("wrote me/app:1 to ") && said.contains(expected), "{said}");
        let index = json_file(&layout.join("index.json"));
        check_platforms(&index, |digest| fs::read(blob(&layout, digest)).unwrap());
    }
}

#[test]
fn an_archive_has_the_images_of_several_platforms_under_one_name() {
    let store = TempStore::new();
    let place = store.root().join("app.tar");
    write_platforms(&store, &place, "oci-archive");
    let members: std::collections::HashMap<_, _> =
        support::archive::members(&fs::read(&place).unwrap())
            .into_iter()
            .map(|member| (String::from_utf8(member.name).unwrap(), member.content))
            .collect();
    let index: Value = serde_json::from_slice(&members["index.json"]).unwrap();
    check_platforms(&index, |digest| {
        members[&format!("blobs/{}", digest.as_str().unwrap().replace(':', "/"))].clone()
    });
    // It would give the name to one of them.
    assert!(!members.contains_key("manifest.json"));
}

#[test]
fn skopeo_copies_the_images_of_all_platforms() {
    need("skopeo");
    let store = TempStore::new();
    for (format, transport) in [("oci", "oci"), ("oci-archive", "oci-archive")] {
        let place = store.root().join(format);
        write_platforms(&store, &place, format);
        let image = format!("{transport}:{}:1", place.display());
        let raw = stdout_of(&mut support::command("skopeo", &["inspect", "--raw", &image]));
        let raw: Value = serde_json::from_slice(&raw).unwrap();
        assert_eq!(raw["manifests"].as_array().unwrap().len(), 2);
        let copy = store.root().join(format!("copy-of-{format}"));
        let to = format!("oci:{}:copy", copy.display());
        let all = ["copy", "--insecure-policy", "--quiet", "--multi-arch", "all", &image, &to];
        stdout_of(&mut support::command("skopeo", &all));
        let mut index = json_file(&copy.join("index.json"));
        index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"] = json!("1");
        check_platforms(&index, |digest| fs::read(blob(&copy, digest)).unwrap());
        for architecture in ["amd64", "arm64"] {
            let one = ["inspect", "--config", "--override-arch", architecture, &image];
            let config = stdout_of(&mut support::command("skopeo", &one));
            let config: Value = serde_json::from_slice(&config).unwrap();
            assert_eq!(config["architecture"], architecture);
        }
    }
}

#[test]
fn podman_takes_the_image_of_its_platform() {
    let podman = engines::podman();
    let store = TempStore::new();
    for (format, transport) in [("oci", "oci"), ("oci-archive", "oci-archive")] {
        let place = store.root().join(format);
        write_platforms(&store, &place, format);
        for architecture in ["amd64", "arm64"] {
            let image = format!("{transport}:{format}:1");
            let pull = ["pull", "--quiet", "--arch", architecture, &image];
            let mut pull = podman.reach(support::command(podman.name, &pull));
            // podman derives a name from the path, which may only have lower-case letters.
            let id = stdout_of(pull.current_dir(store.root()));
            let id = String::from_utf8(id).unwrap();
            let inspect = ["image", "inspect", "--format", "{{.Architecture}}", id.trim()];
            let found = stdout_of(&mut podman.reach(support::command(podman.name, &inspect)));
            assert_eq!(String::from_utf8(found).unwrap().trim(), architecture);
        }
    }
}

#[test]
fn two_images_for_one_platform_are_refused() {
    let store = TempStore::new();
    let [amd64, _] = for_two_platforms(&store);
    for (format, part) in [
        ("oci", "two of the images are for linux/amd64"),
        ("oci-archive", "two of the images are for linux/amd64"),
        ("docker-archive", "a docker-archive cannot hold images for several platforms"),
    ] {
        let place = store.root().join(format);
        let mut command = write(&store, &amd64, &place, format, "app:1");
        let said = failure_of(command.arg("--platform-conf").arg(&amd64));
        assert!(said.contains(part), "{said}");
        assert!(!place.exists(), "{format}");
    }
}
