//! pullImage and pullImageByDigest, built by the real Nix.

use super::images::{REPOSITORY, TestImage, name, nix_image};
use crate::support::registry::Registry;
use crate::support::{NIX_IMAGE, Python, command, need, need_root, stdout_of, test_file};
use oci::{Compression, Flavor};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// Builds an expression of the testing package set, and copies the result, with links resolved, to
/// the given place. Answers with the sorted names of the blobs that links lead to.
const SCRIPT: &str = "
import json, os, pathlib, shutil
import images

stores = {}

def answer(question):
    state = pathlib.Path(question['state'])
    if state not in stores:
        stores[state] = images.Store(state, pathlib.Path(question['program']))
    store = stores[state]
    expression = '{ host, arguments }: (import ' + question['testing'] + \
        ' { inherit host; }).dockerTools.' + question['function'] + ' (builtins.fromJSON arguments)'
    arguments = json.dumps(question['arguments'])
    built = store.build('-E', expression, '--argstr', 'arguments', arguments)
    copy, links = pathlib.Path(question['copy']), []
    if built.is_file():
        shutil.copy(built, copy)
    else:
        for folder, _, files in os.walk(built):
            for name in files:
                file = pathlib.Path(folder) / name
                place = copy / file.relative_to(built)
                place.parent.mkdir(parents=True, exist_ok=True)
                if file.is_symlink():
                    links.append(os.readlink(file))
                    file = store.here(os.readlink(file))
                shutil.copy(file, place)
    return sorted(links)
";

struct Nix {
    folder: TempDir,
    python: Python,
}

impl Nix {
    fn start() -> Self {
        need("nix-build");
        need("patchelf");
        need_root("build in a sandbox without build users");
        let driver = test_file("driver").display().to_string();
        let script = format!("import sys; sys.path.insert(0, {driver:?})\n{SCRIPT}");
        Self { folder: TempDir::new().unwrap(), python: Python::start(&script) }
    }

    fn build(&mut self, function: &str, arguments: &Value, copy: &Path) -> Value {
        self.python.ask(&json!({
            "state": self.folder.path().join("state"),
            "program": NIX_IMAGE,
            "testing": test_file("../nix/testing"),
            "function": function,
            "arguments": arguments,
            "copy": copy,
        }))
    }
}

fn image(registry: &Registry, tag: &str, contents: &[&str]) -> Vec<u8> {
    let layers: Vec<_> = contents.iter().map(|text| (text.as_bytes(), Compression::Gzip)).collect();
    TestImage::new(Flavor::Oci, &layers).store(registry, tag);
    stdout_of(nix_image("pull", &name(registry, tag)).arg("-"))
}

#[test]
fn nix_builds_images_by_their_hashes_and_by_lock_files() {
    let mut nix = Nix::start();
    let registry = Registry::start();
    let archive = image(&registry, "1", &["shared", "one", "shared"]);

    // By the archive's hash, as either of nixpkgs' arguments.
    let prefetch = stdout_of(nix_image("prefetch", &name(&registry, "1")).arg("--json"));
    let arguments: Value = serde_json::from_slice(&prefetch).unwrap();
    let copy = nix.folder.path().join("archive");
    nix.build("pullImage", &arguments, &copy);
    assert!(fs::read(&copy).unwrap() == archive);
    let mut older = arguments.clone();
    older["sha256"] = older.as_object_mut().unwrap().remove("hash").unwrap();
    nix.build("pullImage", &older, &copy);

    // By a lock file: an OCI layout of links to blobs, which skopeo reads.
    let lock = |tag: &str| -> Value {
        serde_json::from_slice(&stdout_of(&mut nix_image("lock", &name(&registry, tag)))).unwrap()
    };
    let layout = nix.folder.path().join("layout");
    let first = nix.build("pullImageByDigest", &json!({"lock": lock("1")}), &layout);
    assert_eq!(first.as_array().unwrap().len(), 3, "a repeated layer is one blob");
    need("skopeo");
    let from = format!("oci:{}:1", layout.display());
    let copied = nix.folder.path().join("copied");
    let to = format!("docker-archive:{}:{}:1", copied.display(), registry.name(REPOSITORY));
    let mut skopeo = command("skopeo", &["--insecure-policy", "copy", "-q", &from, &to]);
    stdout_of(skopeo.env("HOME", "/nonexistent"));
    assert!(fs::read(copied).unwrap() == archive);

    // Shared blobs are not fetched again.
    image(&registry, "2", &["shared", "two"]);
    let lock = lock("2");
    registry.requests();
    let second = nix.folder.path().join("second");
    let second = nix.build("pullImageByDigest", &json!({"lock": lock}), &second);
    let shared =
        second.as_array().unwrap().iter().filter(|path| first.as_array().unwrap().contains(path));
    assert_eq!(shared.count(), 1);
    let fetched = registry.requests().into_iter().filter(|r| r.target.contains("/blobs/"));
    assert_eq!(fetched.count(), 2, "the config and the layer that is new");
}
