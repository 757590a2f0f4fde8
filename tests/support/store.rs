//! A store in a temporary directory.

use super::{NIX_IMAGE, command};
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A directory to be used as `--store-root`. It goes away with its last user.
#[derive(Debug)]
pub(crate) struct TempStore {
    root: TempDir,
}

impl TempStore {
    /// An empty store.
    pub(crate) fn new() -> Self {
        Self::new_in(&std::env::temp_dir())
    }

    /// An empty store somewhere in a folder.
    pub(crate) fn new_in(folder: &Path) -> Self {
        let store = Self { root: TempDir::with_prefix_in("nix-image-test-", folder).unwrap() };
        fs::create_dir_all(store.place("/nix/store")).unwrap();
        store
    }

    /// The store's root, where everything else of a test may go too.
    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    /// Where a store path really is.
    pub(crate) fn place(&self, path: &str) -> PathBuf {
        self.root().join(path.trim_start_matches('/'))
    }

    /// Writes a file of a store path, with the directories that lead to it.
    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let place = self.place(path);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(place, content).unwrap();
    }

    /// Writes a conf; where it is.
    pub(crate) fn write_conf(&self, name: &str, conf: &Value) -> PathBuf {
        let place = self.root().join(format!("{name}.json"));
        fs::write(&place, conf.to_string()).unwrap();
        place
    }

    /// Makes a customisation layer of today's kind out of a finished tar; its store path.
    pub(crate) fn write_customisation_layer(&self, tar: &[u8]) -> String {
        let path = format!("/nix/store/{}-customisation-layer", "c".repeat(32));
        self.write(&format!("{path}/layer.tar"), tar);
        self.write(&format!("{path}/checksum"), super::sha256(tar) + "\n");
        path
    }

    /// A conf as simple as can be, to be changed by a test.
    pub(crate) fn conf(store_layers: &Value, customisation_layer: &str) -> Value {
        json!({
            "architecture": "amd64", "os": "linux", "config": {}, "from_image": null,
            "store_dir": "/nix/store", "store_layers": store_layers,
            "customisation_layer": customisation_layer, "repo_tag": "test:1",
            "created": "1970-01-01T00:00:01+00:00", "mtime": "1970-01-01T00:00:01+00:00",
            "uid": "0", "gid": "0", "uname": "root", "gname": "root",
        })
    }

    /// `nix-image COMMAND CONF --store-root ROOT`, with a cache of this store's own.
    pub(crate) fn nix_image(&self, name: &str, conf: impl AsRef<OsStr>) -> Command {
        let mut command = command(NIX_IMAGE, &[name]);
        command.arg(conf.as_ref()).arg("--store-root").arg(self.root());
        command.env("XDG_CACHE_HOME", self.root().join("cache"));
        command
    }
}
