//! A store in a temporary directory.

use super::{NIX_IMAGE, command};
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A directory for `--store-root`. It is deleted with its last user.
#[derive(Debug)]
pub(crate) struct TempStore {
    root: TempDir,
}

impl TempStore {
    /// An empty store.
    pub(crate) fn new() -> Self {
        Self::new_in(&std::env::temp_dir())
    }

    /// An empty store in a folder.
    pub(crate) fn new_in(folder: &Path) -> Self {
        let store = Self { root: TempDir::with_prefix_in("nix-image-test-", folder).unwrap() };
        fs::create_dir_all(store.place("/nix/store")).unwrap();
        store
    }

    /// The store's root, where a test may also put other files.
    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    /// The physical location of a store path.
    pub(crate) fn place(&self, path: &str) -> PathBuf {
        self.root().join(path.trim_start_matches('/'))
    }

    /// Writes a file of a store path, with its parent directories.
    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let place = self.place(path);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(place, content).unwrap();
    }

    /// Writes a conf, and returns its location.
    pub(crate) fn write_conf(&self, name: &str, conf: &Value) -> PathBuf {
        let place = self.root().join(format!("{name}.json"));
        fs::write(&place, conf.to_string()).unwrap();
        place
    }

    /// Makes a current-style customisation layer from a finished tar, and returns its store path.
    pub(crate) fn write_customisation_layer(&self, tar: &[u8]) -> String {
        let path = format!("/nix/store/{}-customisation-layer", "c".repeat(32));
        self.write(&format!("{path}/layer.tar"), tar);
        self.write(&format!("{path}/checksum"), super::sha256(tar) + "\n");
        path
    }

    /// A minimal conf, for a test to change.
    pub(crate) fn conf(store_layers: &Value, customisation_layer: &str) -> Value {
        json!({
            "architecture": "amd64", "os": "linux", "config": {}, "from_image": null,
            "store_dir": "/nix/store", "store_layers": store_layers,
            "customisation_layer": customisation_layer, "repo_tag": "test:1",
            "created": "1970-01-01T00:00:01+00:00", "mtime": "1970-01-01T00:00:01+00:00",
            "uid": "0", "gid": "0", "uname": "root", "gname": "root",
        })
    }

    /// `nix-image COMMAND CONF --store-root ROOT`, with this store's own cache.
    pub(crate) fn nix_image(&self, name: &str, conf: impl AsRef<OsStr>) -> Command {
        let mut command = command(NIX_IMAGE, &[name]);
        command.arg(conf.as_ref()).arg("--store-root").arg(self.root());
        command.env("XDG_CACHE_HOME", self.root().join("cache"));
        command
    }
}
