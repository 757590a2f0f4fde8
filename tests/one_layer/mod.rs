//! One-layer images, compared with those of the programs that nixpkgs' buildImage calls: rsync, GNU
//! tar, jq and jshon. `steps.py` calls them.

mod changes;
mod hostile;

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{NIX_IMAGE, need, python3, run, stdout_of, test_file};

/// A store, and the arguments of an image.
struct Case {
    /// Where the image is made.
    folder: tempfile::TempDir,
    store: PathBuf,
    description: Value,
}

impl Case {
    fn new() -> Self {
        for program in ["rsync", "jq", "jshon", "bash"] {
            need(program);
        }
        let folder = tempfile::tempdir().unwrap();
        grow(folder.path());
        let store = folder.path().join("store");
        let description = json!({
            "items": [], "keep_dirlinks": false, "commands": "", "uid": 0, "gid": 0, "closure": [],
            "name": "team/one", "tag": "1", "base": null,
            "config": {
                "architecture": "amd64", "config": { "Cmd": ["/bin/hello"], "Env": ["A=1"] },
                "created": "1970-01-01T00:00:01Z", "os": "linux", "preferLocalBuild": true,
            },
        });
        Self { folder, store, description }
    }

    fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.description[key] = value.into();
        self
    }

    /// Sets an argument to store paths, given by name.
    fn paths(self, key: &str, names: &[&str]) -> Self {
        let paths = names.iter().map(|name| self.path(name).to_str().unwrap().to_owned());
        let paths = paths.collect::<Vec<_>>();
        self.with(key, paths)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.store.join(name)
    }

    /// The archive from nixpkgs' steps.
    fn theirs(&self) -> PathBuf {
        let case = self.folder.path().join("case.json");
        fs::write(case, self.description.to_string()).unwrap();
        stdout_of(
            Command::new(python3()).arg(test_file("one_layer/steps.py")).arg(self.folder.path()),
        );
        self.folder.path().join("theirs/image.tar")
    }

    /// Our archive, made as the Nix function does.
    fn ours(&self) -> Result<PathBuf, String> {
        let work = self.folder.path().join("ours");
        let (root, layer) = (work.join("root"), work.join("layer"));
        fs::create_dir_all(&root).unwrap();
        let of = |key: &str| self.description[key].clone();
        let text = |key: &str| of(key).as_str().map(str::to_owned);

        let mut copy = build_image("copy");
        copy.arg(&root).args(strings(&of("items")));
        if of("keep_dirlinks") == json!(true) {
            copy.arg("--keep-dirlinks");
        }
        run(&mut copy)?;
        stdout_of(Command::new("chmod").arg("ug+w").arg(&root));
        let commands = text("commands").unwrap();
        stdout_of(Command::new("bash").args(["-ec", &commands]).current_dir(&root));
        let config = work.join("config.json");
        fs::write(&config, of("config").to_string()).unwrap();
        let mut pack = build_image("layer");
        pack.arg("--config").arg(&config).args(["--mtime", "315532800"]);
        pack.args(["--uid", &of("uid").to_string(), "--gid", &of("gid").to_string()]);
        run(pack.arg(&root).arg(&layer))?;

        let node = |path: &str| json!({ "path": path, "narSize": 1, "references": [] });
        let mut closure = strings(&of("closure"));
        closure.push(layer.to_str().unwrap().to_owned());
        let graph = work.join("graph.json");
        let nodes: Vec<_> = closure.iter().map(|path| node(path)).collect();
        fs::write(&graph, json!({ "graph": nodes }).to_string()).unwrap();
        let mut archive = build_image("archive");
        archive.arg(&layer).arg("--closure").arg(graph).arg("--config").arg(config);
        archive.args(["--mtime", "315532800", "--name", &text("name").unwrap()]);
        archive.args(["--tag", &text("tag").unwrap()]);
        archive.arg("--store-dir").arg(&self.store);
        if let Some(base) = text("base") {
            archive.arg("--from-image").arg(base);
        }
        let path = work.join("image.tar");
        archive.stdout(File::create(&path).unwrap());
        run(&mut archive).map(|_| path)
    }

    /// Checks that both archives are identical, and returns ours.
    fn check(&self) -> PathBuf {
        let (theirs, ours) = (self.theirs(), self.ours().unwrap());
        stdout_of(Command::new("cmp").arg(theirs).arg(&ours));
        ours
    }
}

fn build_image(step: &str) -> Command {
    let mut command = Command::new(NIX_IMAGE);
    command.args(["build-image", step]);
    command
}

fn strings(value: &Value) -> Vec<String> {
    let list = value.as_array().unwrap().iter();
    list.map(|item| item.as_str().unwrap().to_owned()).collect()
}

/// Makes the store: links of all kinds, odd and long names, hard links, set-id files.
fn grow(folder: &Path) {
    let store = folder.join("store");
    let long = "long".repeat(30);
    let files: [(&str, &[u8], u32); 16] = [
        ("a-hello/bin/hello", b"#!/bin/sh\necho hello\n", 0o555),
        ("a-hello/lib/sub/data", &[7; 9_000], 0o444),
        ("a-hello-1/f", b"x", 0o444),
        ("a-hello-1/a/x", b"", 0o444),
        ("a-hello-1/a-b/x", b"y", 0o444),
        ("a-hello-1/a.b", b"", 0o444),
        ("a-hello-1/a0", b"0", 0o444),
        ("odd/a b", b"blank", 0o444),
        ("odd/st*r", b"", 0o444),
        ("odd/日本 ä", b"", 0o444),
        ("odd/back\\slash", b"", 0o444),
        ("odd/tab\tx", b"", 0o444),
        (&format!("odd/{long}/{long}"), b"long", 0o444),
        ("odd/set-id", b"set-id", 0o6555),
        // The same length and time as the first hello.
        ("second/bin/hello", b"#!/bin/sh\necho HELLO\n", 0o555),
        ("third/sbin/tool", b"tool", 0o555),
    ];
    for (name, content, mode) in files {
        let path = store.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let data = store.join("a-hello/lib/sub/data");
    fs::hard_link(&data, store.join("a-hello/lib/hard-link")).unwrap();
    let (target, named) = (format!("{long}/{long}"), store.join("odd/long-link"));
    for (target, link) in [
        ("hello", "a-hello/bin/hi"),
        ("nowhere", "a-hello/dangling"),
        ("sub", "a-hello/lib/directory-link"),
        ("bin", "second/sbin"),
        ("./a-hello", "link"),
    ] {
        symlink(target, store.join(link)).unwrap();
    }
    symlink(target, named).unwrap();
    fs::write(store.join("file"), "file").unwrap();
    stdout_of(
        Command::new("find").arg(&store).args(["-exec", "touch", "-h", "-d", "@1", "{}", "+"]),
    );
    let directories = ["-mindepth", "1", "-type", "d", "-exec", "chmod", "555", "{}", "+"];
    stdout_of(Command::new("find").arg(&store).args(directories));
}

const ALL: [&str; 7] = ["a-hello", "a-hello-1", "odd", "second", "third", "link", "file"];

#[test]
fn an_image_of_nothing() {
    Case::new().check();
}

#[test]
fn a_tree_and_its_closure() {
    Case::new().paths("items", &["a-hello-1"]).paths("closure", &ALL).check();
}

#[test]
fn links_to_directories_are_copied() {
    let items = ["a-hello", "second", "third", "link"];
    Case::new().paths("items", &items).paths("closure", &["a-hello"]).check();
}

#[test]
fn links_to_directories_are_kept() {
    let items = ["a-hello", "second", "third"];
    Case::new().with("keep_dirlinks", true).paths("items", &items).check();
}

#[test]
fn odd_names_and_owners() {
    for (uid, gid) in [(0, 0), (1000, 100), (3_000_000, 77_777)] {
        let case = Case::new().with("uid", uid).with("gid", gid);
        case.paths("items", &["odd"]).paths("closure", &ALL).check();
    }
}

#[test]
fn commands_change_the_root() {
    let commands = "rm set-id; mkdir -p nix/store dev; ln 'a b' hard; mkfifo pipe; chmod 1777 dev; \
                    echo new > added; ln -s /nowhere outside";
    let case = Case::new().with("commands", commands);
    case.paths("items", &["odd"]).paths("closure", &ALL).check();
}

#[test]
fn what_the_root_holds_of_the_store_is_not_added_again() {
    let case = Case::new();
    let store = case.store.clone();
    let commands = format!("mkdir -p .{0}; cp -a {0}/odd {0}/a-hello .{0}", store.display());
    case.with("commands", commands).paths("closure", &ALL).check();
}

#[test]
fn descriptions_of_all_kinds() {
    for config in [
        json!(null),
        json!({}),
        json!({ "Env": null }),
        json!({ "Env": ["A=é", "A=\u{7f}\u{1}\"/\\"], "Volumes": { "/data": {} },
                "Healthcheck": { "Interval": 30_000_000_000_u64 } }),
    ] {
        let mut case = Case::new();
        case.description["config"]["config"] = config;
        case.description["config"]["created"] = json!("2026-11-29T16:35:00+00:00");
        case.paths("closure", &["a-hello-1"]).check();
    }
}

/// On a one-layer image, in each compression, and on an image on top of that.
#[test]
fn base_images() {
    need("zstd");
    let first = Case::new().paths("items", &["odd"]).paths("closure", &["a-hello", "odd"]);
    let mut base = first.check();
    for command in
        ["cp $0 $0.next", "gzip -c $0 > $0.next", "zstd -qc $0 > $0.next", "xz -c $0 > $0.next"]
    {
        stdout_of(Command::new("bash").args(["-ec", command]).arg(&base));
        base.as_mut_os_string().push(".next");
        // Files count as the base's only if they are in the same store.
        let mut case = Case::new().with("base", base.to_str().unwrap());
        case.store.clone_from(&first.store);
        let case = case.paths("items", &["second"]).paths("closure", &ALL);
        base = first.folder.path().join("base.tar");
        fs::copy(case.check(), &base).unwrap();
    }
}
