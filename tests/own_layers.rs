//! Layers that an image's author defines: files copied into the root, modes and owners, and store
//! paths that no other layer has.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::support::archive::{self, Member};
use crate::support::tree::{self, Node};
use crate::support::{TempStore, failure_of, run, stdout_of};

const A: &str = "/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-one";
const B: &str = "/nix/store/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-two";
const LIB: &str = "/nix/store/llllllllllllllllllllllllllllllll-lib";

/// A conf of one layer with these options.
fn conf(store: &TempStore, paths: &Value, options: &Value) -> Value {
    let customisation = store.write_customisation_layer(&[0; 10240]);
    let mut conf = TempStore::conf(&json!([paths]), &customisation);
    let mut options = options.clone();
    options["layer"] = json!(0);
    conf["layer_options"] = json!([options]);
    conf
}

/// The first layer of a conf's image. Its digest must match the config.
fn layer(store: &TempStore, conf: &Value) -> Result<Vec<u8>, String> {
    let conf = store.write_conf("conf", conf);
    let mut image = archive::image(&run(&mut store.nix_image("stream", &conf))?);
    let diff_id = format!("sha256:{}", image.layer_digests[0]);
    assert_eq!(image.config["rootfs"]["diff_ids"][0], diff_id);
    Ok(image.layers.swap_remove(0))
}

/// A member's name, mode, IDs, and owner's and group's names.
fn look(member: &Member) -> (String, u32, u64, u64, String) {
    let header = tar::Header::from_byte_slice(&member.header);
    let name = |name: Option<&[u8]>| String::from_utf8(name.unwrap().to_vec()).unwrap();
    let names = format!("{}:{}", name(header.username_bytes()), name(header.groupname_bytes()));
    let path = String::from_utf8(member.name.clone()).unwrap();
    (path, header.mode().unwrap(), header.uid().unwrap(), header.gid().unwrap(), names)
}

/// Removes every other file; the first one stays if `keep` is true.
fn thin_out(place: &Path, keep: &mut bool) {
    let mode = place.metadata().unwrap().permissions();
    fs::set_permissions(place, Permissions::from_mode(0o700)).unwrap();
    let mut entries: Vec<_> = fs::read_dir(place).unwrap().map(|entry| entry.unwrap()).collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        if entry.file_type().unwrap().is_dir() {
            thin_out(&entry.path(), keep);
        } else {
            if !*keep {
                fs::remove_file(entry.path()).unwrap();
            }
            *keep = !*keep;
        }
    }
    fs::set_permissions(place, mode).unwrap();
}

/// However a tree is divided, merging the parts gives an identical layer.
#[test]
fn trees_are_merged_into_the_tree_that_they_are_parts_of() {
    let entries = prop::collection::vec((tree::name(), tree::node()), 0..6);
    let config = Config { failure_persistence: None, cases: 100, ..Config::default() };
    let result = TestRunner::new(config).run(&entries, |entries| {
        let store = TempStore::new();
        let whole = Node::Directory { mode: 0o555, entries };
        tree::Writer::default().write(&store.place(LIB), &whole);
        for (part, mut keep) in [(A, true), (B, false)] {
            let copy = [store.place(LIB), store.place(part)];
            stdout_of(std::process::Command::new("cp").arg("-a").args(copy));
            thin_out(&store.place(part), &mut keep);
        }
        let of = |copied: &Value| {
            layer(&store, &conf(&store, &json!([]), &json!({ "copy_to_root": copied }))).unwrap()
        };
        let whole = of(&json!([LIB]));
        for parts in [json!([A, B]), json!([B, A])] {
            prop_assert!(of(&parts) == whole);
        }
        Ok(())
    });
    result.unwrap();
}

/// Two trees, one with a link and with parts that change owner.
fn two_trees() -> TempStore {
    let store = TempStore::new();
    store.write(&format!("{A}/etc/passwd"), "root");
    store.write(&format!("{A}/etc/shadow"), "secret");
    store.write(&format!("{A}/home/user/file"), "mine");
    symlink("file", store.place(&format!("{A}/home/user/link"))).unwrap();
    store.write(&format!("{B}/etc/app.conf"), "app");
    store.write(&format!("{B}/nix/store/no"), "b");
    store.write(&format!("{LIB}/lib/x.so"), "x");
    let all = ["-R", "u=rX,go=rX"].map(str::to_owned);
    let places = [A, B, LIB].map(|path| store.place(path));
    stdout_of(std::process::Command::new("chmod").args(all).args(places));
    store
}

#[test]
fn permissions_are_for_the_names_that_they_match() {
    let store = two_trees();
    let perms = json!([
        { "path": A, "regex": "^/etc/sh", "mode": "0600", "uid": "7", "gname": "shadow" },
        { "path": A, "regex": "^/home/user", "uid": 1000, "gid": 100, "mode": "4711" },
        { "path": A, "regex": "user/file$", "uid": 1001, "uname": "me" },
        // Both have the directory.
        { "path": B, "regex": "^/etc$", "mode": "700" },
        { "path": LIB, "regex": "x.so", "gid": 5 },
    ]);
    let options = json!({ "copy_to_root": [A, B], "perms": perms });
    let layer = layer(&store, &conf(&store, &json!([LIB]), &options)).unwrap();
    let found: Vec<_> = archive::members(&layer).iter().map(look).collect();
    let root = || "root:root".to_owned();
    let entry = |name: &str, mode, uid, gid, names: &str| {
        (name.to_owned(), mode, uid, gid, names.to_owned())
    };
    let expected = [
        entry("/nix/", 0o755, 0, 0, &root()),
        entry("/nix/store/", 0o755, 0, 0, &root()),
        entry(&format!("{LIB}/"), 0o555, 0, 0, &root()),
        entry(&format!("{LIB}/lib/"), 0o555, 0, 0, &root()),
        entry(&format!("{LIB}/lib/x.so"), 0o444, 0, 5, "root:"),
        entry("/etc/", 0o700, 0, 0, &root()),
        entry("/etc/app.conf", 0o444, 0, 0, &root()),
        entry("/etc/passwd", 0o444, 0, 0, &root()),
        entry("/etc/shadow", 0o600, 7, 0, ":shadow"),
        entry("/home/", 0o555, 0, 0, &root()),
        entry("/home/user/", 0o4711, 1000, 100, ":"),
        entry("/home/user/file", 0o4711, 1001, 100, "me:"),
        entry("/home/user/link", 0o777, 1000, 100, ":"),
        // The store's parent directories are in the archive once.
        entry("/nix/store/no", 0o444, 0, 0, &root()),
    ];
    assert_eq!(found, expected);
}

/// A digest remembered for one layer is not used for another.
#[test]
fn a_layer_with_other_options_is_another_layer() {
    let store = two_trees();
    let permission = |mode: &str| json!([{ "path": A, "regex": "shadow", "mode": mode }]);
    let mut seen = Vec::new();
    for (paths, options) in [
        (json!([A]), json!({})),
        (json!([]), json!({ "copy_to_root": [A] })),
        (json!([LIB]), json!({ "copy_to_root": [A] })),
        (json!([]), json!({ "copy_to_root": [A, B] })),
        (json!([]), json!({ "copy_to_root": [A], "perms": permission("0600") })),
        (json!([]), json!({ "copy_to_root": [A], "perms": permission("0640") })),
    ] {
        let of_this = conf(&store, &paths, &options);
        // The second time, its digest is remembered.
        let (cold, warm) = (layer(&store, &of_this).unwrap(), layer(&store, &of_this).unwrap());
        assert!(cold == warm, "{options}");
        assert!(!seen.contains(&cold), "{options}");
        seen.push(cold);
    }
}

#[test]
fn what_cannot_be_a_layer_is_refused_with_a_reason() {
    let store = two_trees();
    store.write(&format!("{B}/home/user"), "a file");
    store.write("/nix/store/ffffffffffffffffffffffffffffffff-file", "a file");
    let file = "/nix/store/ffffffffffffffffffffffffffffffff-file";
    for (options, parts) in [
        (
            json!({ "copy_to_root": [A, B] }),
            &["`/home/user` is in `", A, B, "only directories"][..],
        ),
        (json!({ "copy_to_root": [A, A] }), &["`/etc/passwd` is in", "leave one of them out"]),
        (json!({ "copy_to_root": [file] }), &[file, "not a directory"]),
        (json!({ "copy_to_root": ["/etc"] }), &["`/etc` is not in the store"]),
        (json!({ "copy_to_root": A }), &["`layer_options[0].copy_to_root` must be a list"]),
        (json!({ "copies": [A] }), &["unknown key `layer_options[0].copies`", "copy_to_root"]),
        (json!({ "perms": [{ "path": A, "regex": "(" }] }), &["perms[0].regex`", "unclosed group"]),
        (json!({ "perms": [{ "path": A, "mode": "0888" }] }), &["perms[0].mode`", "0888"]),
        (json!({ "perms": [{ "path": A, "mode": "+700" }] }), &["perms[0].mode`", "octal"]),
        (json!({ "perms": [{ "path": A, "uid": "root" }] }), &["perms[0].uid` must be"]),
        (json!({ "perms": [{ "regex": "x" }] }), &["perms[0].path` must be a store path"]),
        (
            json!({ "perms": [{ "path": A, "owner": 1 }] }),
            &["perms[0].owner`; the known keys are path"],
        ),
    ] {
        let said = layer(&store, &conf(&store, &json!([]), &options)).map(drop).unwrap_err();
        assert!(parts.iter().all(|part| said.contains(part)), "{options}: {said}");
    }
    let mut conf = conf(&store, &json!([]), &json!({}));
    for numbers in [&[1][..], &[0, 0], &[-1]] {
        conf["layer_options"] = numbers.iter().map(|number| json!({ "layer": number })).collect();
        let said = layer(&store, &conf).unwrap_err();
        assert!(said.contains("store layer"), "{numbers:?}: {said}");
    }
}

/// The graph of an image with two explicit layers and files in its root.
fn graph() -> Value {
    let node = |path: &str, references: &[&str]| json!({ "path": path, "narSize": 8, "references": references, "narHash": format!("sha256:{path}") });
    let app = "/nix/store/pppppppppppppppppppppppppppppppp-app";
    json!({
        "graph": [node(app, &[LIB, app]), node(LIB, &[]), node(B, &[])],
        "layer0": [node(LIB, &[])],
        "layer1": [node(A, &[LIB]), node(LIB, &[])],
        "layers": [
            { "graph": "layer0", "deps": [LIB], "copyToRoot": [], "perms": [] },
            { "graph": "layer1", "deps": [], "copyToRoot": [A],
              "perms": [{ "path": A, "regex": "shadow", "mode": "0600" }] },
        ],
        "copyToRoot": [B], "perms": [],
    })
}

fn plan(store: &TempStore, graph: &Value, limit: &str) -> std::process::Command {
    let mut plan = store.nix_image("plan", store.write_conf("graph", graph));
    plan.args(["--limit", limit, "--layer-options"]).arg(store.root().join("options"));
    plan.arg("--nar-hashes").arg(store.root().join("hashes"));
    plan
}

#[test]
fn no_store_path_is_in_two_layers_and_what_is_copied_is_in_none() {
    let store = two_trees();
    let layers: Value =
        serde_json::from_slice(&stdout_of(&mut plan(&store, &graph(), "4"))).unwrap();
    let app = "/nix/store/pppppppppppppppppppppppppppppppp-app";
    assert_eq!(layers, json!([[LIB], [], [app], []]));
    let read = |file| -> Value {
        serde_json::from_slice(&fs::read(store.root().join(file)).unwrap()).unwrap()
    };
    let perms = graph()["layers"][1]["perms"].clone();
    let options = json!([
        { "layer": 1, "copy_to_root": [A], "perms": perms },
        { "layer": 3, "copy_to_root": [B], "perms": [] },
    ]);
    assert_eq!(read("options"), options);
    let hashes: Vec<_> = read("hashes").as_object().unwrap().keys().cloned().collect();
    for path in [A, B, LIB, app] {
        assert!(hashes.iter().any(|other| other == path), "{path}: {hashes:?}");
    }
}

#[test]
fn a_plan_that_cannot_be_followed_ends_with_what_is_wrong() {
    let store = two_trees();
    let with = |place: &str, value: Value| {
        let mut graph = graph();
        *graph.pointer_mut(place).unwrap() = value;
        graph
    };
    let permission = |path: &str, regex: &str| json!([{ "path": path, "regex": regex }]);
    for (graph, limit, part) in [
        (graph(), "3", "raise maxLayers to at least 5"),
        (with("/layers/1/perms", permission(A, "^/shadow")), "4", "matches no name in"),
        (with("/layers/1/perms", permission(B, "etc")), "4", "which is not in its layer"),
        (with("/layers/1/perms", permission(A, "[")), "4", "unclosed character class"),
        (with("/layers/1/copyToRoot", json!([A, B, A])), "4", "only directories are merged"),
        (with("/layers/1/graph", json!("gone")), "4", "in item 1 of `layers`"),
        (with("/layers/1/deps", json!("x")), "4", "expected `deps` to be a list"),
    ] {
        let said = failure_of(&mut plan(&store, &graph, limit));
        assert!(said.contains(part), "{part}: {said}");
    }
}
