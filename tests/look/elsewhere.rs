//! Images in a registry or an engine.

use super::Fixture;
use crate::support::docker_registry::{DockerRegistry, PASSWORD, USER};
use crate::support::engines::{self, Engine};
use crate::support::registry::Registry;
use crate::support::{NIX_IMAGE, command, failure_of, stdout_of};
use serde_json::{Value, json};
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

const ARCHIVE: [&str; 2] = ["--format", "docker-archive"];

/// What is found in an image, except its name. `reach` gives commands access to the registry or
/// engine.
fn found(image: &str, reach: &dyn Fn(Command) -> Command) -> Value {
    let run = |arguments: &[&str]| {
        let mut command = command(NIX_IMAGE, &[arguments[0], image]);
        command.args(&arguments[1..]).arg("--json").env("TMPDIR", std::env::temp_dir());
        serde_json::from_slice::<Value>(&stdout_of(&mut reach(command))).unwrap()
    };
    let inspected = run(&["inspect"]);
    let layers = inspected["Layers"].as_array().unwrap().iter();
    let layers = layers.map(|layer| json!([layer["DiffID"], layer["Size"], layer["PathSizes"]]));
    let tree = run(&["tree"]);
    json!({
        "id": inspected["Id"],
        "layers": layers.collect::<Vec<_>>(),
        "tree": tree["paths"],
        "why": run(&["why", "libc"])["would_leave"],
        "store layers": run(&["layers"]),
    })
}

impl Fixture {
    /// What should be found, according to the archive.
    fn expected(&self) -> Value {
        let file = self.store.root().join("image.tar");
        stdout_of(self.store.nix_image("write", &self.conf).arg(&file).args(ARCHIVE));
        found(file.to_str().unwrap(), &|command| command)
    }

    fn push(&self, name: &str, arguments: &[&str]) {
        stdout_of(self.store.nix_image("push", &self.conf).arg(name).args(arguments));
    }
}

#[test]
fn an_archive_is_looked_at_through_a_pipe_as_in_a_file() {
    let fixture = Fixture::new();
    let expected = fixture.expected();
    for format in ["docker-archive", "oci-archive"] {
        let piped = |mut looking: Command| {
            let mut write = fixture.store.nix_image("write", &fixture.conf);
            let mut writer = write
                .args(["-", "--format", format, "--quiet"])
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            looking.stdin(writer.stdout.take().unwrap());
            // Reaped when the test ends: it writes until its reader is done.
            std::thread::spawn(move || writer.wait());
            looking
        };
        assert_eq!(found("-", &piped), expected, "{format}");
    }
    // The engine's load reads no archive there.
    let archive = File::open(fixture.store.root().join("image.tar")).unwrap();
    let mut load = fixture.store.nix_image("load", Path::new("-"));
    let said = failure_of(load.stdin(archive));
    assert!(said.contains("standard input is an archive") && said.contains("a file"), "{said}");
}

#[test]
fn an_image_in_a_registry_is_looked_at_as_in_a_file() {
    let fixture = Fixture::new();
    let expected = fixture.expected();
    assert_eq!(expected["store layers"].as_array().unwrap().len(), 2);
    let registry = DockerRegistry::start();
    for (format, compression) in [("oci", "zstd"), ("oci", "gzip"), ("docker", "gzip")] {
        let name = format!("{}/me/app:{format}-{compression}", registry.address);
        fixture.push(&name, &["--format", format, "--compression", compression]);
        for operand in [&name, &format!("docker://{name}")] {
            assert_eq!(found(operand, &|command| command), expected, "{operand}");
        }
        let mut diff = fixture.store.nix_image("diff", &fixture.conf);
        let diff: Value = serde_json::from_slice(&stdout_of(diff.args([&name, "--json"]))).unwrap();
        assert_eq!((&diff["unpacked"]["layers"], &diff["changes"]), (&json!(0), &json!([])));
    }
}

#[test]
fn a_private_registry_is_read_with_the_users_login() {
    let fixture = Fixture::new();
    let registry = DockerRegistry::with_password();
    let folder = tempfile::tempdir().unwrap();
    let name = format!("{}/me/app:1", registry.address);
    let reach = |mut command: Command| {
        command.env("REGISTRY_AUTH_FILE", folder.path().join("auth.json"));
        command
    };
    let login = ["login", &registry.address, "--username", USER, "--password-stdin"];
    let mut login = reach(command(NIX_IMAGE, &login));
    let password = folder.path().join("password");
    std::fs::write(&password, PASSWORD).unwrap();
    stdout_of(login.stdin(std::fs::File::open(password).unwrap()));
    let mut push = reach(fixture.store.nix_image("push", &fixture.conf));
    stdout_of(push.arg(&name));
    assert_eq!(found(&name, &reach), fixture.expected());
    let said = failure_of(
        command(NIX_IMAGE, &["inspect", &name]).env("REGISTRY_AUTH_FILE", folder.path().join("x")),
    );
    assert!(said.contains("401") || said.contains("log in"), "{said}");
}

/// The documents list the paths of each layer.
#[test]
fn the_layers_of_an_image_in_a_registry_are_printed_without_reading_one() {
    let fixture = Fixture::new();
    let registry = Registry::start();
    let name = registry.name("me/app:1");
    fixture.push(&name, &[]);
    registry.requests();
    let layers = stdout_of(&mut command(NIX_IMAGE, &["layers", &name]));
    assert_eq!(stdout_of(&mut fixture.store.nix_image("layers", &fixture.conf)), layers);
    let requests = registry.requests();
    let blobs = requests.iter().filter(|request| request.target.contains("/blobs/"));
    // Only the config.
    assert_eq!(blobs.count(), 1);
}

/// Layers that two images share are read once, from the nearer one.
#[test]
fn a_difference_fetches_only_what_is_not_here() {
    let fixture = Fixture::new();
    let registry = Registry::start();
    let name = registry.name("me/app:1");
    fixture.push(&name, &[]);
    let mut conf: Value = serde_json::from_slice(&std::fs::read(&fixture.conf).unwrap()).unwrap();
    conf["store_layers"].as_array_mut().unwrap().pop();
    let changed = fixture.store.write_conf("changed", &conf);
    let archive = fixture.store.root().join("image.tar");
    stdout_of(fixture.store.nix_image("write", &fixture.conf).arg(&archive).args(ARCHIVE));
    let diff = |images: [&str; 2]| {
        let mut diff = command(NIX_IMAGE, &["diff"]);
        diff.args(images).arg("--json").arg("--store-root").arg(fixture.store.root());
        let mut diff: Value = serde_json::from_slice(&stdout_of(&mut diff)).unwrap();
        for side in ["old", "new"] {
            diff[side]["name"] = Value::Null;
        }
        diff
    };
    let archive = archive.to_str().unwrap();
    // The config, and the layer with app and lib.
    for (here, fetched) in [(&fixture.conf, 1), (&changed, 2)] {
        let here = here.to_str().unwrap();
        for (far, near) in [([&*name, here], [archive, here]), ([here, &*name], [here, archive])] {
            registry.requests();
            assert_eq!(diff(far), diff(near));
            let requests = registry.requests();
            let blobs = requests.iter().filter(|request| request.target.contains("/blobs/"));
            assert_eq!(blobs.count(), fetched, "{far:?}");
        }
    }
}

fn looks_the_same_in(engine: &Engine, transport: &str) {
    let fixture = Fixture::new();
    let expected = fixture.expected();
    let name = "look-at-me:1";
    let file = fixture.store.root().join("loaded.tar");
    let mut write = fixture.store.nix_image("write", &fixture.conf);
    stdout_of(write.args(["--tag", name]).arg(&file).args(ARCHIVE));
    engine.load_archive(&file);
    let reach = |command: Command| engine.reach(command);
    assert_eq!(found(&format!("{transport}:{name}"), &reach), expected);
    if engine.name != "containerd" {
        // With containerd's store, docker's ID is that of the manifest.
        let images = engine.images();
        let id = images[0].rsplit_once(' ').unwrap().1.trim_start_matches("sha256:");
        let short = &id[..12];
        assert_eq!(found(&format!("{transport}:{short}"), &reach), expected);
    }
    let missing = format!("{transport}:not-there:1");
    let mut inspect = reach(command(NIX_IMAGE, &["inspect", &missing]));
    let said = failure_of(&mut inspect);
    assert!(said.contains("not-there"), "{said}");
}

#[test]
fn docker_has_the_same_image() {
    looks_the_same_in(&engines::docker(), "docker-daemon");
}

#[test]
fn docker_with_containerds_store_has_the_same_image() {
    looks_the_same_in(&engines::docker_with_containerd_store(), "docker-daemon");
}

#[test]
fn podman_has_the_same_image() {
    looks_the_same_in(&engines::podman(), "containers-storage");
}

#[test]
fn rootless_podman_has_the_same_image() {
    looks_the_same_in(&engines::rootless_podman(), "containers-storage");
}

#[test]
fn containerd_has_the_same_image() {
    looks_the_same_in(&engines::containerd(), "containerd");
}

/// What nix-image linked into podman is read back unchanged.
#[test]
fn what_was_linked_into_podman_is_the_same_image() {
    let (fixture, engine) = (Fixture::new(), engines::podman());
    let mut load = fixture.store.nix_image("load", &fixture.conf);
    load.args(["--engine", "podman", "--tag", "linked:1"]);
    stdout_of(&mut engine.reach(load));
    let reach = |command: Command| engine.reach(command);
    assert_eq!(found("containers-storage:linked:1", &reach), fixture.expected());
}

/// Nothing is left behind, in particular no fetched file.
#[test]
fn what_was_fetched_is_in_no_folder_afterwards() {
    let (fixture, registry) = (Fixture::new(), DockerRegistry::start());
    let name = format!("{}/me/app:1", registry.address);
    fixture.push(&name, &[]);
    let folder = tempfile::tempdir().unwrap();
    let mut inspect = command(NIX_IMAGE, &["inspect", &name]);
    stdout_of(inspect.env("TMPDIR", folder.path()));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let mut inspect = command(NIX_IMAGE, &["inspect", &name]);
    let said = failure_of(inspect.env("TMPDIR", Path::new("/nonexistent")));
    assert!(said.contains("creating a temporary file in `/nonexistent`"), "{said}");
}

/// A blob with the wrong digest is not read.
#[test]
fn what_a_registry_sends_is_checked() {
    let (fixture, registry) = (Fixture::new(), Registry::start());
    let name = registry.name("me/app:1");
    fixture.push(&name, &["--compression", "none"]);
    let manifest = registry.manifest("me/app", "1").unwrap();
    let digest = manifest["layers"][0]["digest"].as_str().unwrap();
    let mut blob = registry.blob("me/app", digest).unwrap();
    blob[700] ^= 1;
    registry.put_in_place_of("me/app", digest, &blob);
    let said = failure_of(&mut command(NIX_IMAGE, &["inspect", &name]));
    assert!(said.contains("other bytes for that digest"), "{said}");
}

#[test]
fn layers_are_planned_with_those_of_an_image_elsewhere() {
    let (fixture, registry) = (Fixture::new(), DockerRegistry::start());
    let name = format!("docker://{}/me/app:1", registry.address);
    fixture.push(name.trim_start_matches("docker://"), &[]);
    let layers: Vec<Vec<String>> =
        serde_json::from_slice(&stdout_of(&mut fixture.store.nix_image("layers", &fixture.conf)))
            .unwrap();
    let paths = layers.iter().flatten();
    let graph = paths.map(|path| json!({"path": path, "narSize": 9, "references": []}));
    let graph = json!(graph.collect::<Vec<_>>()).to_string();
    let graph = crate::export::put(fixture.store.root(), "graph.json", graph.as_bytes());
    let saved = fixture.store.root().join("image.tar");
    stdout_of(fixture.store.nix_image("write", &fixture.conf).arg(&saved).args(ARCHIVE));
    for old in [&name, saved.to_str().unwrap()] {
        let plan = |arguments: &[&str]| {
            let mut plan = command(NIX_IMAGE, &["plan"]);
            stdout_of(plan.arg(&graph).args(arguments))
        };
        let planned = plan(&["--strategy", "delta", "--previous", old]);
        let planned: Vec<Vec<String>> = serde_json::from_slice(&planned).unwrap();
        assert!(layers.iter().all(|layer| planned.contains(layer)), "{planned:?}");
        let said = plan(&["--strategy", "delta", "--previous", old, "--explain", old]);
        let said = String::from_utf8(said).unwrap();
        assert!(said.starts_with("reused      2 of 2 layers"), "{said}");
    }
}
