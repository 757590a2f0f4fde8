//! The same with the real Nix, which verifies, collects and optimises the store.

use super::fixture::{HELLO, busybox, import_options};
use crate::support::engines;
use crate::support::{NIX_IMAGE, TempStore, command, need, need_root, run, stdout_of};
use serde_json::json;
use std::fs;
use std::path::Path;
use std::process::Command;

/// `nix-store` for a store in a folder.
fn nix_store(store: &TempStore, arguments: &[&str]) -> Command {
    let mut nix = command("nix-store", arguments);
    nix.env("NIX_REMOTE", format!("local?root={}", store.root().display()));
    nix.env("NIX_CONF_DIR", "/nonexistent").env("NIX_USER_CONF_FILES", "");
    nix.env("HOME", store.root()).env("NIX_CONFIG", "build-users-group =\nsubstituters =");
    nix
}

/// Adds a folder to the store, and returns its path.
fn add(store: &TempStore, folder: &Path) -> String {
    let mut nix = nix_store(store, &["--add"]);
    let path = String::from_utf8(stdout_of(nix.arg(folder))).unwrap();
    path.trim().to_owned()
}

#[test]
fn nix_finds_its_store_as_it_left_it() {
    need("nix-store");
    need_root("have a store of root's files");
    for optimised in [false, true] {
        check(optimised);
    }
}

fn check(optimised: bool) {
    let store = TempStore::new();
    let tools = store.root().join("tools");
    fs::create_dir_all(tools.join("bin")).unwrap();
    fs::copy(busybox(), tools.join("bin/sh")).unwrap();
    fs::write(tools.join("hello"), HELLO).unwrap();
    // The same content again, for --optimise.
    let other = store.root().join("other");
    fs::create_dir_all(&other).unwrap();
    fs::write(other.join("hello"), HELLO).unwrap();
    let (tools, other) = (add(&store, &tools), add(&store, &other));
    if optimised {
        stdout_of(&mut nix_store(&store, &["--optimise"]));
    }
    let customisation = store.write_customisation_layer(&[0; 1024]);
    let mut conf = TempStore::conf(&json!([[tools], [other]]), &customisation);
    let run_it =
        format!("cat {tools}/hello {other}/hello; chmod 777 {tools}/hello; echo >> {other}/hello");
    conf["config"] = json!({"Cmd": [format!("{tools}/bin/sh"), "-c",
        run_it.replace("cat ", &format!("{tools}/bin/sh /dev/null; cat "))]});
    let conf = store.write_conf("image", &conf);
    // Nix would not recognize it as a store path, and collect it.
    let engine = engines::podman();
    super::state::graph_root(&engine);
    let mut load = engine.reach(command(NIX_IMAGE, &["load"]));
    load.arg(&conf).arg("--store-root").arg(store.root()).args(["--engine", "podman"]);
    load.env("XDG_CACHE_HOME", store.root().join("cache"));
    load.args(import_options("auto"));
    stdout_of(&mut load);

    assert_eq!(engine.output_of("test:1"), HELLO.repeat(2));
    stdout_of(&mut nix_store(&store, &["--verify", "--check-contents"]));
    let verified = nix_store(&store, &["--verify", "--check-contents"]).output().unwrap();
    let said = String::from_utf8_lossy(&verified.stderr);
    assert!(!said.contains("was modified"), "{said}");
    stdout_of(&mut nix_store(&store, &["--optimise"]));
    assert_eq!(engine.output_of("test:1"), HELLO.repeat(2));
    // No GC root keeps the paths.
    fs::remove_dir_all(store.place(&customisation)).unwrap();
    stdout_of(&mut nix_store(&store, &["--gc"]));
    assert!(!store.place(&tools).exists(), "{tools} is still there");
    assert_eq!(engine.output_of("test:1"), HELLO.repeat(2));
    run(&mut engine
        .command("podman", &["save", "--quiet", "--output", "/dev/null", "localhost/test:1"]))
    .unwrap_or_else(|why| panic!("{why}"));
}
