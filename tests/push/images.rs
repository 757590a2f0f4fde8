//! Images to push.

use crate::support::{TempStore, command, need, sha256, stdout_of};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::{Command, Output};

/// A store with the conf of an image in it.
#[derive(Debug)]
pub(super) struct Fixture {
    pub(super) store: TempStore,
    layers: Vec<(String, Vec<u8>)>,
    nar_hashes: bool,
}

impl Fixture {
    /// An image of this many small layers, and a customisation layer.
    pub(super) fn new(layers: usize, nar_hashes: bool) -> Self {
        let store = TempStore::new();
        store.write_customisation_layer(&tar());
        let mut fixture = Self { store, layers: Vec::new(), nar_hashes };
        for layer in 0..layers {
            fixture.add(&format!("path{layer}"), &bytes(layer as u64, 20_000));
        }
        fixture
    }

    /// Adds a layer of one path with one file.
    pub(super) fn add(&mut self, name: &str, content: &[u8]) {
        let path = path(name, content);
        self.store.write(&format!("{path}/file"), content);
        self.layers.push((path, content.to_vec()));
    }

    /// Replaces the path of a layer by another one, as a rebuild does.
    pub(super) fn change(&mut self, layer: usize) {
        let content = bytes(1000 + layer as u64, 30_000);
        let path = path("changed", &content);
        self.store.write(&format!("{path}/file"), &content);
        self.layers[layer] = (path, content);
    }

    /// The path of a layer's file.
    pub(super) fn file(&self, layer: usize) -> PathBuf {
        self.store.place(&format!("{}/file", self.layers[layer].0))
    }

    /// The current conf.
    pub(super) fn conf(&self) -> PathBuf {
        self.conf_with(|_| ())
    }

    /// The conf with a change.
    pub(super) fn conf_with(&self, change: impl Fn(&mut Value)) -> PathBuf {
        let customisation = format!("/nix/store/{}-customisation-layer", "c".repeat(32));
        let layers: Vec<_> = self.layers.iter().map(|(path, _)| json!([path])).collect();
        let mut conf = TempStore::conf(&json!(layers), &customisation);
        if self.nar_hashes {
            let hash = |content: &[u8]| json!(format!("sha256:{}", sha256(content)));
            let own = self.layers.iter().map(|(path, content)| (path.clone(), hash(content)));
            let all = own.chain([(customisation, hash(&tar()))]);
            conf["nar_hashes"] = Value::Object(all.collect());
        }
        change(&mut conf);
        let name = sha256(conf.to_string().as_bytes());
        self.store.write_conf(&name, &conf)
    }

    /// `nix-image push CONF REFERENCE`, with the store's own cache and without credentials.
    pub(super) fn push(&self, reference: &str) -> Command {
        let mut command = self.store.nix_image("push", self.conf());
        command.arg(reference);
        private(&mut command);
        command.env("XDG_CACHE_HOME", self.store.root().join("cache"));
        command
    }

    /// `nix-image push` with exactly these arguments.
    pub(super) fn push_with<S: AsRef<std::ffi::OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = command(crate::support::NIX_IMAGE, &["push"]);
        command.arg("--store-root").arg(self.store.root()).args(arguments);
        private(&mut command);
        command.env("XDG_CACHE_HOME", self.store.root().join("cache"));
        command
    }

    /// The same with an empty store and an empty cache.
    pub(super) fn push_from_nowhere(&self, reference: &str) -> Command {
        let mut command = command(crate::support::NIX_IMAGE, &["push"]);
        let nowhere = self.store.root().join("nowhere");
        command.arg(self.conf()).arg(reference).arg("--store-root").arg(nowhere);
        private(&mut command);
        command
    }

    /// Registers the image's paths with Nix, so that its database has their NAR hashes.
    pub(super) fn register(&self) {
        need("nix-store");
        let customisation = format!("/nix/store/{}-customisation-layer", "c".repeat(32));
        let own = self.layers.iter().map(|(path, content)| (path.clone(), sha256(content)));
        // Path, hash, size, deriver, and the number of references.
        let registration: Vec<_> = own
            .chain([(customisation, sha256(&tar()))])
            .map(|(path, hash)| format!("{path}\n{hash}\n1\n\n0\n"))
            .collect();
        let input = self.store.root().join("registration");
        std::fs::write(&input, registration.concat()).unwrap();
        let mut nix = command("nix-store", &["--load-db"]);
        nix.env("NIX_REMOTE", format!("local?root={}", self.store.root().display()));
        nix.env("HOME", self.store.root()).stdin(std::fs::File::open(input).unwrap());
        stdout_of(&mut nix);
    }

    /// Clears the cache.
    pub(super) fn forget(&self) {
        let _ = std::fs::remove_dir_all(self.store.root().join("cache"));
    }

    /// The image's config, as in the stream.
    pub(super) fn config(&self) -> Vec<u8> {
        let archive = crate::support::stdout_of(&mut self.store.nix_image("stream", self.conf()));
        let mut archive = tar::Archive::new(archive.as_slice());
        let found = archive.entries().unwrap().find_map(|entry| {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().display().to_string();
            let config = name.len() == 64 + ".json".len();
            config.then(|| {
                let mut content = Vec::new();
                std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
                content
            })
        });
        found.unwrap()
    }
}

/// Isolates the command from the user's files.
fn private(command: &mut Command) {
    for variable in [
        "DOCKER_AUTH_CONFIG",
        "DOCKER_CONFIG",
        "REGISTRY_AUTH_FILE",
        "XDG_CONFIG_HOME",
        "XDG_RUNTIME_DIR",
    ] {
        command.env_remove(variable);
    }
}

/// The standard error of a command, which must succeed.
pub(super) fn said(command: &mut Command) -> String {
    let Output { status, stderr, .. } = command.output().unwrap();
    let said = String::from_utf8_lossy(&stderr).into_owned();
    assert!(status.success(), "{command:?} ended with {status} and said:\n{said}");
    said
}

/// Incompressible bytes, always the same for a seed.
pub(crate) fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = std::iter::repeat_with(next).take(length / 8 + 1).flatten().collect();
    bytes.truncate(length);
    bytes
}

fn path(name: &str, content: &[u8]) -> String {
    // Nix's base 32 has no `e`.
    format!("/nix/store/{}-{name}", &sha256(content)[..32].replace('e', "g"))
}

/// The customisation layer.
fn tar() -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(5);
    header.set_mode(0o644);
    header.set_cksum();
    builder.append_data(&mut header, "hello", &b"hello"[..]).unwrap();
    builder.into_inner().unwrap()
}
