//! The programs in `examples/`, which the library's documentation includes, work.

use crate::support::{NIX_IMAGE, TempStore, command, stdout_of};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A store, and a conf that is read without `--store-root`.
pub(crate) fn image() -> (TempStore, PathBuf) {
    let store = TempStore::new();
    let place = |path: &str| store.place(path).to_str().unwrap().to_owned();
    let customisation = store.write_customisation_layer(&[0; 10240]);
    let hello = format!("/nix/store/{}-hello", "h".repeat(32));
    store.write(&format!("{hello}/bin/hello"), "#!/bin/sh\n");
    let mut conf = TempStore::conf(&json!([[place(&hello)]]), &place(&customisation));
    conf["store_dir"] = json!(place("/nix/store"));
    let conf = store.write_conf("conf", &conf);
    (store, conf)
}

/// `cargo run --example NAME -- CONF`, with the store's own cache.
pub(crate) fn example(name: &str, store: &TempStore, conf: &Path) -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["run", "--quiet", "--offline", "--example", name, "--"]).arg(conf);
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    // Cargo's variables for this test's package would make it rebuild dependencies whose build
    // scripts read them.
    for (name, _) in std::env::vars_os() {
        let told = ["CARGO_BIN_", "CARGO_MANIFEST_", "CARGO_PKG_"];
        if told.iter().any(|start| name.as_encoded_bytes().starts_with(start.as_bytes())) {
            cargo.env_remove(name);
        }
    }
    cargo.env("XDG_CACHE_HOME", store.root().join("cache"));
    cargo
}

#[test]
fn stream_writes_what_the_program_writes() {
    let (store, conf) = image();
    let archive = stdout_of(&mut example("stream", &store, &conf));
    assert!(archive == stdout_of(command(NIX_IMAGE, &["stream", "--no-cache"]).arg(&conf)));
}

#[test]
fn digest_prints_what_the_program_prints() {
    let (store, conf) = image();
    let printed = stdout_of(&mut example("digest", &store, &conf));
    let inspected = stdout_of(command(NIX_IMAGE, &["inspect", "--no-cache"]).arg(&conf));
    let inspected: Value = serde_json::from_slice(&inspected).unwrap();
    let line = |layer: &Value| {
        format!("{} {}\n", layer["DiffID"].as_str().unwrap(), layer["Size"].as_u64().unwrap())
    };
    let lines: String = inspected["Layers"].as_array().unwrap().iter().map(line).collect();
    assert_eq!(String::from_utf8(printed).unwrap(), lines);
}
