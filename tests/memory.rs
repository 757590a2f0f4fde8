//! Images of more files than there is memory for: their trees are walked again and again.

use crate::support::{Python, TempStore, test_file};
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

/// Runs a command, and tells whether it wrote what is in a file, and how much memory it took. A
/// process of its own, as the memory of the process that starts a command counts as the command's.
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
    return {'equal': equal and status == 0, 'kilobytes': usage.ru_maxrss}
";

/// Together the links' targets take more memory than listings may (8 MiB).
const PATHS: usize = 2;
const LINKS: usize = 1200;
const TARGET: usize = 4000;

#[test]
fn trees_that_find_no_room_in_memory_are_archived_as_any_other() {
    let directory = test_file("").to_str().unwrap().to_owned();
    let reference = format!("import sys; sys.path.insert(0, {directory:?})\n{REFERENCE}");
    let (Some(mut reference), Some(mut measure)) =
        (Python::start(&reference), Python::start(MEASURE))
    else {
        return;
    };
    let store = TempStore::new();
    let path = |number: usize| format!("/nix/store/{}-many", number.to_string().repeat(32));
    let target = "t".repeat(TARGET);
    for number in 0..PATHS {
        let directory = store.place(&path(number));
        fs::create_dir(&directory).unwrap();
        for link in 0..LINKS {
            std::os::unix::fs::symlink(&target, directory.join(format!("{link}"))).unwrap();
            // Between them files, so that what is read has to stand in the right place.
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
        assert_eq!(run["equal"], true, "{words:?} wrote something else");
        let kilobytes = run["kilobytes"].as_u64().unwrap();
        assert!(kilobytes < 64 << 10, "{words:?} took {kilobytes} kB of memory");
    }
}
