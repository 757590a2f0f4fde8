//! Images of more files than memory has room for: their trees are walked repeatedly.

use crate::bad_input::gzip;
use crate::base::{self, Header, Records};
use crate::support::{self, Python, TempStore};
use serde_json::json;
use std::fs;

/// Writes an image with `reference.py`.
const REFERENCE: &str = "
import json
from reference import Image

def answer(question):
    with open(question['conf']) as file:
        conf = json.load(file)
    with open(question['archive'], 'wb') as out:
        Image(conf, out, question['root']).write(None)
";

/// Runs a command, and reports whether its output equals a file, and how much memory it took. A
/// separate process, as the memory of the process that starts a command counts as the command's.
const MEASURE: &str = "
import os, subprocess

def answer(question):
    process = subprocess.Popen(
        question['command'], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    with open(question['archive'], 'rb') as expected:
        equal = True
        while data := process.stdout.read(1 << 16):
            equal = equal and data == expected.read(len(data))
        equal = equal and not expected.read(1)
    _, status, usage = os.wait4(process.pid, 0)
    return {'equal': equal, 'status': os.waitstatus_to_exitcode(status), 'kilobytes': usage.ru_maxrss}
";

/// The reference writer, and the program that measures memory.
fn start() -> (Python, Python) {
    (Python::start_with_reference(REFERENCE), Python::start(MEASURE))
}

/// Together, the links' targets take up more memory than listings may (8 MiB).
const PATHS: usize = 2;
const LINKS: usize = 1200;
const TARGET: usize = 4000;

#[test]
fn trees_that_find_no_room_in_memory_are_archived_as_any_other() {
    let (mut reference, mut measure) = start();
    let store = TempStore::new();
    let path = |number: usize| format!("/nix/store/{}-many", number.to_string().repeat(32));
    let target = "t".repeat(TARGET);
    for number in 0..PATHS {
        let directory = store.place(&path(number));
        fs::create_dir(&directory).unwrap();
        for link in 0..LINKS {
            std::os::unix::fs::symlink(&target, directory.join(format!("{link}"))).unwrap();
            // Files between them show whether everything is read in the right place.
            fs::write(directory.join(format!("{link}-file")), vec![b'x'; 100 * link]).unwrap();
        }
    }
    let layers: Vec<_> = (0..PATHS).map(|number| json!([path(number)])).collect();
    let customisation = store.write_customisation_layer(b"");
    let conf = store.write_conf("many", &TempStore::conf(&json!(layers), &customisation));
    let archive = store.root().join("archive");
    reference.ask(&json!({"conf": conf, "root": store.root(), "archive": archive}));
    for options in [&["--threads", "4"][..], &[]] {
        let mut command = store.nix_image("stream", &conf);
        command.args(options);
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let words: Vec<_> = words.map(|word| word.to_str().unwrap()).collect();
        let run = measure.ask(&json!({"command": words, "archive": archive}));
        assert_eq!((&run["equal"], &run["status"]), (&json!(true), &json!(0)), "{words:?}: {run}");
        let kilobytes = run["kilobytes"].as_u64().unwrap();
        assert!(kilobytes < 64 << 10, "{words:?} took {kilobytes} kB of memory");
    }
}

/// A record with a value of this size.
fn record(keyword: &str, size: usize) -> (String, Vec<u8>) {
    (keyword.to_owned(), vec![b'v'; size])
}

fn extension(typeflag: u8, records: &Records) -> Vec<u8> {
    let mut out = Vec::new();
    base::write_extension(typeflag, &base::payload(records), &mut out);
    out
}

fn member(name: &str, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Header::plain(b'0', name).write(&base::octal(content.len()), content, &mut out);
    out
}

/// A base image that has a layer this many times, and its documents.
fn image(times: usize, config: &str) -> Vec<u8> {
    let digests = vec![format!("sha256:{}", support::sha256(b"layer")); times];
    let digests = json!(digests);
    let config = format!("{{\"rootfs\": {{\"diff_ids\": {digests}}}, \"config\": {config}}}");
    let manifest = json!([{"Config": "config.json", "Layers": vec!["layer.tar"; times]}]);
    [
        member("layer.tar", b"layer"),
        member("config.json", config.as_bytes()),
        member("manifest.json", manifest.to_string().as_bytes()),
        vec![0; 1024],
    ]
    .concat()
}

/// A header, and content of this size, which is up to 96 MiB.
fn enormous(typeflag: u8, size: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Header::plain(typeflag, "././@Enormous").write(size, b"", &mut out);
    out.resize(96 << 20, b'x');
    out
}

/// Base images that would take much memory or time, and whether they are valid images. All of them
/// are small when compressed.
#[test]
fn base_images_take_little_memory_whatever_they_hold() {
    let (mut reference, mut measure) = start();
    let keys: Records = (0..80_000).map(|key| record(&format!("k{key}"), 1)).collect();
    let short_keys: Records = (0..150_000).map(|key| record(&format!("{key:x}"), 0)).collect();
    let megabyte = vec![record("comment", 1 << 19), record("uname", (1 << 19) - 100)];
    let few = vec![record("comment", 10), record("uname", 5)];
    let with = |extension: Vec<u8>, image: Vec<u8>| [extension, image].concat();
    let many = |count: usize, extension: &[u8]| {
        let mut out = Vec::new();
        for number in 0..count {
            out.extend_from_slice(extension);
            out.extend_from_slice(&member(&format!("{number}"), b""));
        }
        out
    };
    let cases: Vec<(&str, Vec<u8>, bool)> = vec![
        ("3 GiB of records", enormous(b'x', b"30000000000\0"), false),
        ("3 GiB of globals", enormous(b'g', b"30000000000\0"), false),
        ("a name of 1 GiB", enormous(b'L', b"10000000000\0"), false),
        ("a target of 1 GiB", enormous(b'K', b"10000000000\0"), false),
        ("80,000 keys", with(extension(b'x', &keys), image(1, "{}")), true),
        ("80,000 global keys", with(extension(b'g', &keys), image(1, "{}")), true),
        (
            "80,000 keys, and again",
            {
                let (global, own) = (extension(b'g', &keys), extension(b'x', &short_keys));
                with(global, with(own, image(1, "{}")))
            },
            false,
        ),
        ("layers of large records", with(extension(b'x', &megabyte), image(60, "{}")), true),
        ("many members", with(many(90_000, b""), image(1, "{}")), true),
        ("many with records", with(many(10_000, &extension(b'x', &few)), image(1, "{}")), true),
        (
            "too many with records",
            with(many(99_000, &extension(b'x', &few)), image(1, "{}")),
            false,
        ),
        (
            "many below a global",
            with(extension(b'g', &megabyte), many(200, &extension(b'x', &few))),
            false,
        ),
        ("many globals", with(many(100, &extension(b'g', &megabyte)), image(1, "{}")), false),
        (
            "a config of zeros",
            image(1, &format!("{{\"Env\": [0{}]}}", ",0".repeat(2_000_000))),
            false,
        ),
        ("other zeros", image(1, &format!("{{\"x\": [0{}]}}", ",0".repeat(2_000_000))), true),
        ("a large config", image(1, &format!("\"{}\"", "x".repeat(20 << 20))), false),
        ("300,000 layers", image(300_000, "{}"), false),
    ];
    for (case, archive, is_image) in cases {
        let store = TempStore::new();
        let base = format!("/nix/store/{}-base.tar.gz", "b".repeat(32));
        store.write(&base, gzip(&archive));
        drop(archive);
        let customisation = store.write_customisation_layer(b"");
        let mut conf = TempStore::conf(&json!([]), &customisation);
        conf["from_image"] = json!(base);
        let conf = store.write_conf("conf", &conf);
        let expected = store.root().join("archive");
        if is_image {
            reference.ask(&json!({"conf": conf, "root": store.root(), "archive": expected}));
        } else {
            fs::write(&expected, b"").unwrap();
        }
        let command = store.nix_image("stream", &conf);
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let words: Vec<_> = words.map(|word| word.to_str().unwrap()).collect();
        let run = measure.ask(&json!({"command": words, "archive": expected}));
        assert_eq!(run["status"], json!(i32::from(!is_image)), "{case}: {run}");
        assert_eq!(run["equal"], true, "{case} became something else");
        let kilobytes = run["kilobytes"].as_u64().unwrap();
        assert!(kilobytes < 64 << 10, "{case} took {kilobytes} kB of memory");
    }
}
