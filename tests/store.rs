//! `nix-image store`, and podmans that read the store.

use crate::golden::Golden;
use crate::storage::{Podman, check_saved_with, public_folder};
use crate::support::{need_root, stdout_of};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

/// A store in a directory that all users can read.
struct Store {
    golden: Golden,
    folder: TempDir,
}

impl Store {
    fn new() -> Self {
        need_root("add files of root's");
        Self { golden: Golden::new(), folder: public_folder() }
    }

    fn directory(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    fn command(&self, name: &str) -> Command {
        let mut command = self.golden.store.nix_image("store", name);
        // The command has arguments for reading images.
        command = without_store_root(&command);
        command.arg(self.directory());
        command
    }

    fn add(&self, case: &str) -> Command {
        let mut command = self.command("add");
        command.arg(self.golden.arguments(case).0).arg("--store-root");
        command.arg(self.golden.store.root());
        command
    }

    fn list(&self) -> Vec<Value> {
        let list = stdout_of(self.command("list").arg("--json"));
        let mut list: Value = serde_json::from_slice(&list).unwrap();
        serde_json::from_value(list["images"].take()).unwrap()
    }

    /// The option with which podman reads it.
    fn option(&self) -> String {
        format!("additionalimagestore={}", self.directory().display())
    }
}

/// `nix_image` passes the option of commands that read images to every command.
fn without_store_root(command: &Command) -> Command {
    let mut again = Command::new(command.get_program());
    again.args(command.get_args().take_while(|argument| *argument != "--store-root"));
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => again.env(name, value),
            None => again.env_remove(name),
        };
    }
    again
}

#[test]
fn podman_reads_what_was_added() {
    let store = Store::new();
    let podman = Podman::start();
    stdout_of(store.add("everything").args(["--import", "link"]));
    stdout_of(store.add("base-gz").args(["-t", "ghcr.io/me/other:2"]));
    let option = store.option();
    let options = ["--storage-opt", &option];
    let images = podman.podman(&[&options[..], &["images", "--no-trunc", "-q"]].concat());
    let mut ids: Vec<_> = images.lines().collect();
    ids.sort_unstable();
    let expected =
        ["everything", "base-gz"].map(|case| format!("sha256:{}", store.golden.id(case)));
    let mut expected: Vec<_> = expected.iter().map(String::as_str).collect();
    expected.sort_unstable();
    assert_eq!(ids, expected);
    check_saved_with(&podman, &options, store.folder.path(), &store.golden);
    let exists = [&options[..], &["image", "exists", "ghcr.io/me/other:2"]].concat();
    podman.podman(&exists);
    stdout_of(store.command("remove").args(["ghcr.io/me/other:2"]));
    assert!(podman.engine.command("podman", &exists).output().unwrap().status.code() == Some(1));
    stdout_of(&mut store.command("gc"));
    check_saved_with(&podman, &options, store.folder.path(), &store.golden);
}

#[test]
fn a_killed_run_leaves_no_half_image() {
    let store = Store::new();
    let podman = Podman::start();
    stdout_of(store.add("simple").args(["-t", "simple:1"]));
    for moment in 0..40 {
        let mut adding = store.add("everything").arg("--no-cache").stderr(Stdio::null()).spawn();
        let adding = adding.as_mut().unwrap();
        thread::sleep(Duration::from_millis(moment * 3));
        let _ = adding.kill();
        let is_added = adding.wait().unwrap().success();
        let list = store.list();
        // A killed run may have finished as well.
        let whole =
            |image: &Value| image["layers"] == 8 && image["references"][0] == "localhost/golden:1";
        let id = |case| Value::from(format!("sha256:{}", store.golden.id(case)));
        match list.iter().find(|image| image["image_id"] == id("everything")) {
            Some(image) => {
                assert!(whole(image), "{image}");
                stdout_of(store.command("remove").arg("golden:1"));
            }
            None => assert!(!is_added),
        }
        assert!(list.iter().any(|image| image["image_id"] == id("simple")));
        if moment % 3 == 0 {
            stdout_of(&mut store.command("gc"));
        }
    }
    stdout_of(store.command("remove").arg("simple:1"));
    stdout_of(&mut store.add("everything"));
    let option = store.option();
    check_saved_with(&podman, &["--storage-opt", &option], store.folder.path(), &store.golden);
    stdout_of(&mut store.command("gc"));
    let left = |name: &str| std::fs::read_dir(store.directory().join(name)).unwrap().count();
    // The layers, and the directory of links.
    assert_eq!(left("overlay"), 8 + 1);
    assert_eq!(left("overlay/l"), 8);
    assert_eq!(left("overlay-images"), 1 + 2);
}

#[test]
fn podman_may_read_while_images_are_added() {
    let store = Store::new();
    let podman = Podman::start();
    stdout_of(&mut store.add("everything"));
    let option = store.option();
    let options = ["--storage-opt", option.as_str()];
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            for _ in 0..8 {
                let exists = ["image", "exists", "localhost/golden:1"];
                podman.podman(&[&options[..], &exists].concat());
                let inspect = ["image", "inspect", "localhost/golden:1"];
                podman.podman(&[&options[..], &inspect].concat());
            }
        });
        while !reader.is_finished() {
            stdout_of(store.add("base-gz").args(["-t", "other:1"]));
            stdout_of(store.command("remove").arg("other:1"));
            stdout_of(&mut store.command("gc"));
        }
        reader.join().unwrap();
    });
    check_saved_with(&podman, &options, store.folder.path(), &store.golden);
}

#[test]
fn other_users_list_it() {
    let store = Store::new();
    stdout_of(&mut store.add("everything"));
    let program = Path::new(crate::support::NIX_IMAGE);
    // A user who cannot reach the program cannot run it.
    let copy = store.folder.path().join("nix-image");
    std::fs::copy(program, &copy).unwrap();
    let mut list = Command::new("setpriv");
    list.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
    let list = stdout_of(list.arg(copy).args(["store", "list"]).arg(store.directory()));
    let list = String::from_utf8(list).unwrap();
    let id = &store.golden.id("everything")[..12];
    assert_eq!(list, format!("localhost/golden:1  {id}  8 layers, 2.5 MB\n"));
}
