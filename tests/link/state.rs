//! An engine's state, as lines that can be compared with those of another engine of its kind,
//! without times of loading and locations of files.

use super::listing::{Lines, listing};
use crate::support::engines::Engine;
use crate::support::{cannot_run, stdout_of};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

pub(super) fn of(engine: &Engine) -> Lines {
    match engine.name {
        "podman" => podman(engine),
        "containerd" => containerd(engine),
        _ => docker(engine),
    }
}

/// Where podman's storage is.
pub(super) fn graph_root(engine: &Engine) -> PathBuf {
    let format = "{{.Store.GraphRoot}}\n{{.Store.GraphDriverName}}";
    let said = stdout_of(&mut engine.command("podman", &["info", "--format", format]));
    let said = String::from_utf8(said).unwrap();
    let (root, driver) = said.trim().split_once('\n').unwrap();
    if driver != "overlay" {
        cannot_run("podman cannot use overlay here");
    }
    root.into()
}

/// Its records, the files next to them, and the trees of its layers.
fn podman(engine: &Engine) -> Lines {
    let root = graph_root(engine);
    let mut lines = Lines::new();
    for mut image in records(&root.join("overlay-images/images.json")) {
        let unsigned = drop_empty_signatures(&mut image);
        let id = image["id"].as_str().unwrap().to_owned();
        add(&mut lines, &format!("image {id}"), image.into());
        let files = listing(&root.join("overlay-images").join(&id));
        let files = files.into_iter().filter(|(name, _)| !unsigned.contains(name));
        lines.extend(files.map(|(name, line)| (format!("image {id}{name}"), line)));
    }
    for mut layer in records(&root.join("overlay-layers/layers.json")) {
        layer.remove("created");
        let id = layer["id"].as_str().unwrap().to_owned();
        add(&mut lines, &format!("layer {id}"), layer.into());
        let tree = listing(&root.join("overlay").join(&id).join("diff"));
        lines.extend(tree.into_iter().map(|(name, line)| (format!("layer {id}{name}"), line)));
    }
    let root = root.to_str().unwrap().to_owned();
    let list =
        engine.command("podman", &["images", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}}"]);
    for name in words(list) {
        let inspect = engine.command("podman", &["image", "inspect", &name]);
        add(&mut lines, &format!("inspect {name}"), json_without(inspect, &root));
        let history =
            engine.command("podman", &["history", "--no-trunc", "--format", "json", &name]);
        add(&mut lines, &format!("history {name}"), json_without(history, &root));
    }
    lines
}

/// Removes the empty lists of signatures from an image's record, which podman 4 writes and podman 5
/// does not. Returns the names of their files.
pub(crate) fn drop_empty_signatures(image: &mut serde_json::Map<String, Value>) -> Vec<String> {
    let sizes = image["big-data-sizes"].as_object().unwrap();
    let empty = |name: &&String| name.starts_with("signature-") && sizes[*name] == 0;
    let names: Vec<_> = sizes.keys().filter(empty).cloned().collect();
    for name in &names {
        for key in ["big-data-sizes", "big-data-digests"] {
            image[key].as_object_mut().unwrap().remove(name);
        }
        image["big-data-names"].as_array_mut().unwrap().retain(|other| other != name);
    }
    let metadata: Value = serde_json::from_str(image["metadata"].as_str().unwrap()).unwrap();
    let lists = metadata["signatures-sizes"].as_object();
    if lists.is_none_or(|lists| lists.values().all(|list| list == &serde_json::json!([]))) {
        image.remove("metadata");
    }
    names.iter().map(|name| format!("/={}", STANDARD.encode(name))).collect()
}

fn records(file: &Path) -> Vec<serde_json::Map<String, Value>> {
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}

/// Adds a line for each key.
fn add(lines: &mut Lines, what: &str, value: Value) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                add(lines, &format!("{what} .{key}"), value);
            }
        }
        value => {
            lines.insert(what.to_owned(), value.to_string());
        }
    }
}

/// The JSON that a command prints, without the location of the engine's files.
fn json_without(mut command: std::process::Command, root: &str) -> Value {
    let text = String::from_utf8(stdout_of(&mut command)).unwrap().replace(root, "ROOT");
    serde_json::from_str(&text).unwrap_or_else(|why| panic!("{why}: {text}"))
}

fn words(mut command: std::process::Command) -> Vec<String> {
    let said = String::from_utf8(stdout_of(&mut command)).unwrap();
    said.split_whitespace().map(str::to_owned).collect()
}

/// Names with their images' configs, and all committed snapshots with their trees.
fn containerd(engine: &Engine) -> Lines {
    let images = engine.images().into_iter().map(|image| (format!("image {image}"), String::new()));
    let mut lines: Lines = images.collect();
    lines.extend(snapshots(&|arguments: &[&str]| engine.command("ctr", arguments)));
    lines
}

/// What dockerd reports, and the snapshots of its containerd.
fn docker(engine: &Engine) -> Lines {
    let mut lines = Lines::new();
    for image in engine.images() {
        let (name, _) = image.split_once(' ').unwrap();
        let inspect = engine.command("docker", &["image", "inspect", name]);
        let mut said = json_without(inspect, "no such path");
        // The ID is the manifest's, which depends on where an image came from.
        for key in ["Id", "Descriptor", "RepoDigests", "Metadata", "Size"] {
            said[0].as_object_mut().unwrap().remove(key);
        }
        add(&mut lines, &format!("inspect {name}"), said);
        let format = "{{.CreatedAt}} {{.CreatedBy}} {{.Comment}}";
        let history =
            engine.command("docker", &["history", "--no-trunc", "--format", format, name]);
        let mut history = history;
        let history = String::from_utf8(stdout_of(&mut history)).unwrap();
        lines.insert(format!("history {name}"), history);
    }
    let address = engine.containerd_address();
    lines.extend(snapshots(&|arguments: &[&str]| {
        let mut command = engine.command("ctr", &["--address", &address, "--namespace", "moby"]);
        command.args(arguments);
        command
    }));
    lines
}

/// Chain IDs, their parents, and the files of each.
fn snapshots(ctr: &dyn Fn(&[&str]) -> std::process::Command) -> Lines {
    let list = String::from_utf8(stdout_of(&mut ctr(&["snapshots", "ls"]))).unwrap();
    let mut lines = Lines::new();
    for line in list.lines().skip(1) {
        let fields: Vec<_> = line.split_whitespace().collect();
        if fields.last() != Some(&"Committed") {
            continue;
        }
        let chain_id = fields[0];
        let parent = if fields.len() == 3 { fields[1] } else { "" };
        lines.insert(format!("snapshot {chain_id}"), format!("on {parent}"));
        let key = format!("look-{chain_id}");
        let view = &["snapshots", "view", "--target", "/mnt", &key, chain_id];
        let mount = String::from_utf8(stdout_of(&mut ctr(view)));
        let tree = listing(Path::new(&top_folder(&mount.unwrap())));
        lines.extend(
            tree.into_iter().map(|(name, line)| (format!("snapshot {chain_id}{name}"), line)),
        );
        // containerd may have done so already: nothing protects a view.
        let _ = ctr(&["snapshots", "rm", &key]).output();
    }
    lines
}

/// The folder of the top layer, from the arguments for `mount`: a bind mount's source, or the first
/// lower folder of an overlay.
fn top_folder(mount: &str) -> String {
    let lower = mount.split([',', ' ']).find_map(|option| option.strip_prefix("lowerdir="));
    match lower {
        Some(lower) => lower.split(':').next().unwrap().trim().to_owned(),
        None => mount.split_whitespace().find(|word| word.contains("/snapshots/")).unwrap().into(),
    }
}
