//! `nix-image export`: what it writes, for which images, and what it rejects.

use crate::bad_input::gzip;
use crate::base::{Header, octal};
use crate::support::archive::members;
use crate::support::layout::{Form, Layout};
use crate::support::{NIX_IMAGE, Python, TempStore, command, failure_of, peak_memory};
use crate::support::{sha256, stdout_of};
use serde_json::{Value, json};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

fn export(image: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut export = command(NIX_IMAGE, &["export"]);
    export.arg(image);
    export
}

/// A layer of members given by type, name and content.
pub(crate) fn layer(members: &[(u8, &str, &[u8])]) -> Vec<u8> {
    let mut tar = Vec::new();
    for (typeflag, name, content) in members {
        Header::plain(*typeflag, name).write(&octal(content.len()), content, &mut tar);
    }
    tar.resize(tar.len() + 1024, 0);
    tar
}

pub(crate) fn docker_archive(layers: &[Vec<u8>]) -> Vec<u8> {
    let diff_ids: Vec<_> = layers.iter().map(|tar| format!("sha256:{}", sha256(tar))).collect();
    let config = json!({"rootfs": {"diff_ids": diff_ids}}).to_string();
    let names: Vec<_> = (0..layers.len()).map(|number| format!("{number}.tar")).collect();
    let manifest = json!([{"Config": "c.json", "Layers": names}]).to_string();
    let mut all: Vec<(u8, &str, &[u8])> =
        names.iter().zip(layers).map(|(name, tar)| (b'0', &**name, &**tar)).collect();
    all.extend([(b'0', "c.json", config.as_bytes()), (b'0', "manifest.json", manifest.as_bytes())]);
    layer(&all)
}

pub(crate) fn put(folder: &Path, name: &str, content: &[u8]) -> PathBuf {
    let place = folder.join(name);
    fs::write(&place, content).unwrap();
    place
}

fn names(tar: &[u8]) -> Vec<String> {
    members(tar).into_iter().map(|member| String::from_utf8(member.name).unwrap()).collect()
}

#[test]
fn the_tree_is_sorted_and_each_name_is_there_once() {
    let layers = [
        layer(&[
            (b'5', "b/", b""),
            (b'0', "./b/x", b"old"),
            (b'0', "/b/gone", b""),
            (b'0', "a-b", b""),
            (b'0', "a/z", b"implied"),
        ]),
        layer(&[(b'0', "b/x", b"new"), (b'0', "b/.wh.gone", b""), (b'0', "b//y/../w", b"w")]),
    ];
    let folder = tempfile::tempdir().unwrap();
    let image = put(folder.path(), "image.tar", &docker_archive(&layers));
    let tar = stdout_of(&mut export(&image));
    assert_eq!(names(&tar), ["./", "./a/", "./a/z", "./a-b", "./b/", "./b/w", "./b/x"]);
    assert_eq!(tar.len() % 10240, 0);
    let content =
        |name: &[u8]| members(&tar).into_iter().find(|member| member.name == name).unwrap().content;
    assert_eq!(content(b"./b/x"), b"new");
    let times = stdout_of(export(&image).args(["--mtime", "315532800"]));
    assert!(members(&times).iter().all(|member| &member.header[136..148] == b"02263523000\0"));
}

/// The layer is the same in each of these, and so is the tree.
#[test]
fn the_bytes_depend_on_the_tree_alone() {
    let store = TempStore::new();
    let path = "/nix/store/00000000000000000000000000000000-tree-1.0";
    store.write(&format!("{path}/bin/hello"), "#!/bin/sh\n");
    store.write(&format!("{path}/large"), vec![1; 300_000]);
    store.write(&format!("{path}/é"), vec![2; 65_536]);
    fs::hard_link(store.place(&format!("{path}/large")), store.place(&format!("{path}/again")))
        .unwrap();
    let own = layer(&[(b'0', "./etc/own", b"own"), (b'1', "./etc/link", b"")]);
    // The header has the hard link's target.
    let own = {
        let mut own = own;
        own[1024 + 157..1024 + 166].copy_from_slice(b"./etc/own");
        let block = &mut own[1024..1536];
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        own
    };
    let customisation = store.write_customisation_layer(&own);
    let conf = store.write_conf("conf", &TempStore::conf(&json!([[path]]), &customisation));
    let of_conf = || {
        let mut command = export(&conf);
        command.arg("--store-root").arg(store.root());
        command
    };
    let expected = stdout_of(&mut of_conf());
    assert!(names(&expected).contains(&"./etc/link".to_owned()));
    let archive = stdout_of(&mut store.nix_image("stream", &conf));
    let at = |name: &str| store.root().join(name);
    let layout = at("layout");
    stdout_of(store.nix_image("write", &conf).arg(&layout).args(["--format", "oci"]));
    let mut packed = Layout::default();
    let layers = crate::support::archive::image(&archive).layers;
    let image = packed.image(&[(Form::Zstd, &layers[0]), (Form::Gzip, &layers[1])], &[]);
    packed.entry(image, None);
    for image in [
        put(store.root(), "archive.tar", &archive),
        put(store.root(), "archive.tar.gz", &gzip(&archive)),
        put(store.root(), "packed.tar", &packed.archive("./")),
        layout,
    ] {
        assert!(stdout_of(&mut export(&image)) == expected, "{}", image.display());
    }
    // To a file as well.
    let out = at("out.tar");
    stdout_of(of_conf().arg("-o").arg(&out));
    assert!(fs::read(out).unwrap() == expected);
}

#[test]
fn entries_without_a_place_are_errors_that_name_them() {
    let long = "d/".repeat(40);
    let link = |target: &str| {
        let mut tar = layer(&[(b'1', "link", b"")]);
        tar[157..157 + target.len()].copy_from_slice(target.as_bytes());
        tar[148..156].fill(b' ');
        let sum: u32 = tar[..512].iter().map(|&byte| u32::from(byte)).sum();
        tar[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        tar
    };
    for (case, broken, parts) in [
        ("a way out", layer(&[(b'0', "a/../../etc/passwd", b"")]), &["a/../../etc/passwd"][..]),
        ("an absolute way out", layer(&[(b'0', "/../etc/passwd", b"")]), &["leads out"]),
        ("a way out by a whiteout", layer(&[(b'0', ".wh...", b"")]), &["without a name"]),
        (
            "a link to nothing",
            link("gone"),
            &["`link`, a hard link to `gone`, which does not exist"],
        ),
        ("a link to the outside", link("../x"), &["`link`", "leads out"]),
        (
            "below a file",
            layer(&[(b'0', "a", b""), (b'0', "a/b", b"")]),
            &["`a/b`, which is below"],
        ),
        ("an unknown type", layer(&[(b'V', "volume", b"")]), &["`volume`", "type `V`"]),
        ("holes", layer(&[(b'S', "holes", b"")]), &["`holes`", "with holes"]),
        ("no tar", b"hello".repeat(300), &["layer 2 cannot be read", "checksum"]),
        (
            "cut off",
            layer(&[(b'0', &long, &[0; 5000])])[..3000].to_vec(),
            &["layer 2 cannot be read"],
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let good = layer(&[(b'0', "good", b"")]);
        let layers = [good, broken];
        let archive = docker_archive(&layers);
        let mut layout = Layout::default();
        let image = layout.image(&[(Form::Plain, &layers[0]), (Form::Gzip, &layers[1])], &[]);
        layout.entry(image, None);
        for image in [
            put(folder.path(), "image.tar", &archive),
            put(folder.path(), "image.gz", &gzip(&archive)),
            put(folder.path(), "layout.tar", &layout.archive("")),
        ] {
            let out = folder.path().join("out.tar");
            let said = failure_of(export(&image).arg("-o").arg(&out));
            for part in parts {
                assert!(said.contains(part), "{case}: {said}");
            }
            assert!(said.contains("layer 2"), "{case}: {said}");
            assert!(!out.exists(), "{case}");
        }
    }
}

#[test]
fn layers_that_are_not_the_right_ones_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let good = layer(&[(b'0', "good", &[1; 5000])]);
    let archive = docker_archive(std::slice::from_ref(&good));
    // Changes a byte of the content, which no header covers.
    let mut wrong = archive.clone();
    wrong[512 + 512 + 700] ^= 1;
    let mut layout = Layout::default();
    let config = json!({"rootfs": {"diff_ids": [format!("sha256:{}", sha256(b"other"))]}});
    let blob = layout.blob(Form::Gzip.media_type(), &Form::Gzip.pack(&good));
    let image = layout.image_of(&config, &[blob]);
    layout.entry(image, None);
    for (name, image) in
        [("plain", wrong.clone()), ("gz", gzip(&wrong)), ("layout", layout.archive(""))]
    {
        let image = put(folder.path(), name, &image);
        let out = folder.path().join("out.tar");
        let said = failure_of(export(&image).arg("-o").arg(&out));
        assert!(said.contains("layer 1 cannot be read") && said.contains("digest"), "{said}");
        assert!(!out.exists(), "{name}");
    }
}

#[test]
fn exporting_takes_memory_for_names_alone() {
    let mut python = Python::start(peak_memory::SCRIPT);
    let folder = tempfile::tempdir().unwrap();
    let large = layer(&[(b'0', "large", &vec![7; 100 << 20])]);
    let archive = docker_archive(&[large]);
    for (name, archive) in [("plain", archive.clone()), ("gz", gzip(&archive))] {
        let image = put(folder.path(), name, &archive);
        let kilobytes = peak_memory::of(&mut python, &export(&image));
        assert!(kilobytes < 32 << 10, "{name}: {kilobytes} kB");
    }
    // Something that decompresses to far more than its size must not be held in memory either.
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut header = Vec::new();
    Header::plain(b'0', "zeros").write(&octal(400 << 20), b"", &mut header);
    bomb.write_all(&header).unwrap();
    for _ in 0..400 {
        bomb.write_all(&vec![0; 1 << 20]).unwrap();
    }
    let mut layout = Layout::default();
    let blob = layout.blob(Form::Gzip.media_type(), &bomb.finish().unwrap());
    let config: Value = json!({"rootfs": {"diff_ids": [format!("sha256:{}", sha256(b""))]}});
    let image = layout.image_of(&config, &[blob]);
    layout.entry(image, None);
    let image = put(folder.path(), "bomb", &layout.archive(""));
    let said = failure_of(export(&image).arg("-o").arg(folder.path().join("out.tar")));
    assert!(said.contains("has the digest"), "{said}");
}

/// A conf, or its program, in `ROOT/nix/store` implies the root, as for all other commands.
#[test]
fn the_store_of_a_conf_needs_no_option() {
    let store = TempStore::new();
    let path = "/nix/store/00000000000000000000000000000000-tree-1.0";
    store.write(&format!("{path}/file"), "content");
    let customisation = store.write_customisation_layer(&[0; 1024]);
    let conf = TempStore::conf(&json!([[path]]), &customisation);
    let given = store.write_conf("given", &conf);
    let [conf_path, script] =
        ["conf.json", "stream"].map(|kind| format!("/nix/store/{}-app-{kind}", "2".repeat(32)));
    store.write(&conf_path, conf.to_string());
    let text = format!("#!/bin/sh\nexec /p/stream-layered-image {conf_path} \"$@\"\n");
    store.write(&script, &text);
    for command in ["export", "merge"] {
        let run = |image: &Path| {
            let mut run = crate::support::command(NIX_IMAGE, &[command]);
            run.arg(image);
            run
        };
        let expected = stdout_of(run(&given).arg("--store-root").arg(store.root()));
        for image in [&conf_path, &script] {
            assert!(stdout_of(&mut run(&store.place(image))) == expected, "{command} {image}");
        }
        let name = format!("{}#test:1", store.place(&conf_path).display());
        assert!(stdout_of(&mut run(Path::new(&name))) == expected, "{command}");
        let name = format!("{}#other:1", store.place(&conf_path).display());
        let said = failure_of(&mut run(Path::new(&name)));
        assert!(said.contains("a single image, not named `other:1`"), "{said}");
        // A program on standard input is in no store.
        let mut piped = run(Path::new("-"));
        piped.arg("--store-root").arg(store.root());
        piped.stdin(fs::File::open(put(store.root(), "piped", text.as_bytes())).unwrap());
        assert!(stdout_of(&mut piped) == expected, "{command} -");
    }
}
