//! The layer of commands that changed a base image as root. Another program that unpacks the image
//! must get the tree that the commands made.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use super::build_image;
use crate::export::{docker_archive, put};
use crate::support::archive::members;
use crate::support::{need, need_root, stdout_of};

/// Makes the tree of the base image.
const BASE: &str = "
    mkdir -p etc lib/sub srv/tree/sub
    echo hosts > etc/hosts
    echo same | tee lib/one lib/two lib/sub/three > /dev/null
    echo linked > srv/one; ln srv/one srv/two; ln srv/one srv/tree/three
    echo tool > srv/tool; chmod 4755 srv/tool; chown 7:8 srv/tool
    ln -s lib lib64; ln -s ../lib srv/lib
    mkfifo srv/pipe; mknod srv/null c 1 3";

/// What commands do to the tree, and the resulting entries in the layer.
const CHANGES: [(&str, &[&str]); 17] = [
    ("true", &[]),
    // Times do not matter, nor do files that are replaced by equal ones.
    ("touch -d @7 etc/hosts; mv srv x; cp -a x srv; rm -r x", &[]),
    ("touch file; echo SAME > lib/one", &["file", "lib/", "lib/one"]),
    ("mkdir -p home/user; chown -R 1000:100 home/user", &["home/", "home/user/"]),
    ("chown -h 5 lib64; chmod 700 lib/sub", &["lib/", "lib/sub/", "lib64"]),
    ("chmod 711 srv/tool; chown 3000000:7 etc/hosts", &["etc/", "etc/hosts", "srv/", "srv/tool"]),
    ("rm etc/hosts; rm -r lib", &[".wh.lib", "etc/", "etc/.wh.hosts"]),
    (
        "rm -r srv/tree; mkdir srv/tree; echo new > srv/tree/new",
        &["srv/", "srv/tree/", "srv/tree/.wh.sub", "srv/tree/.wh.three", "srv/tree/new"],
    ),
    (
        "mv lib moved",
        &[".wh.lib", "moved/", "moved/one", "moved/sub/", "moved/sub/three", "moved/two"],
    ),
    ("rm -r lib; ln -s etc lib", &["lib"]),
    ("rm lib64; mkdir lib64; touch lib64/x", &["lib64/", "lib64/x"]),
    (
        "rm lib64; echo file > lib64; rm etc/hosts; mkdir etc/hosts",
        &["etc/", "etc/hosts/", "lib64"],
    ),
    // Hard links are made, broken, written through and removed.
    ("ln etc/hosts lib/again", &["etc/", "etc/hosts", "lib/", "lib/again"]),
    ("cp -a srv/two x; mv x srv/two", &["srv/", "srv/two"]),
    ("echo more >> srv/one", &["srv/", "srv/one", "srv/tree/", "srv/tree/three", "srv/two"]),
    ("rm srv/one", &["srv/", "srv/.wh.one"]),
    (
        "rm srv/pipe; mknod srv/pipe b 8 1; mknod srv/zero c 1 5; mkdir -m 700 own; chown 5 own",
        &["own/", "srv/", "srv/pipe", "srv/zero"],
    ),
];

#[test]
fn what_commands_changed_becomes_a_layer() {
    need_root("give files to other users");
    for program in ["bash", "skopeo", "umoci"] {
        need(program);
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let below = folder.join("below");
    fs::create_dir(&below).unwrap();
    bash(&below, BASE);
    let base = put(folder, "base.tar", &docker_archive(&[stdout_of(&mut tar(&below))]));
    for (number, (commands, expected)) in CHANGES.into_iter().enumerate() {
        let work = folder.join(number.to_string());
        let root = root(&base, &work);
        assert!(listed(&root) == listed(&below), "before {commands}");
        bash(&root, commands);
        let layer = layer(&base, &root, &work);
        let names = members(&fs::read(layer.join("layer.tar")).unwrap());
        let names = names.into_iter().map(|member| String::from_utf8(member.name).unwrap());
        let expected = [""].iter().chain(expected).map(|name| format!("./{name}"));
        assert_eq!(names.collect::<Vec<_>>(), expected.collect::<Vec<_>>(), "{commands}");
        assert!(listed(&unpacked(&base, &layer, &work)) == listed(&root), "{commands}");
    }
}

/// Files copied to the root are on top of the base, as in a layer.
#[test]
fn what_is_copied_is_on_top_of_the_base() {
    need_root("unpack devices");
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (below, copied) = (folder.join("below"), folder.join("copied"));
    fs::create_dir(&below).unwrap();
    fs::create_dir(&copied).unwrap();
    bash(&below, BASE);
    let base = put(folder, "base.tar", &docker_archive(&[stdout_of(&mut tar(&below))]));
    bash(&copied, "mkdir lib64 etc; echo new > lib64/new; touch etc/.wh.hosts; ln -s etc lib");
    let upper = put(folder, "copied.tar", &stdout_of(&mut tar(&copied)));
    let both = stdout_of(build_image("root").arg(&base).arg(&upper));
    bash(&below, "rm -r lib64 lib; cp -a ../copied/. .");
    let both = put(folder, "both.tar", &both);
    let root = folder.join("root");
    unpack(&both, &root);
    assert!(listed(&root) == listed(&below));
}

fn bash(directory: &Path, commands: &str) {
    stdout_of(Command::new("bash").args(["-ec", commands]).current_dir(directory));
}

fn tar(directory: &Path) -> Command {
    let mut tar = Command::new("tar");
    tar.args(["--numeric-owner", "-c", "-C"]).arg(directory).arg(".");
    tar
}

fn unpack(archive: &Path, directory: &Path) {
    fs::create_dir_all(directory).unwrap();
    let mut tar = Command::new("tar");
    stdout_of(tar.args(["--numeric-owner", "-xpf"]).arg(archive).arg("-C").arg(directory));
}

/// Everything about a tree except times.
fn listed(directory: &Path) -> Vec<u8> {
    stdout_of(tar(directory).args(["--sort=name", "--mtime=@0"]))
}

/// The tree of the base, unpacked for the commands.
fn root(base: &Path, work: &Path) -> PathBuf {
    let (empty, root) = (work.join("empty"), work.join("root"));
    fs::create_dir_all(&empty).unwrap();
    let nothing = put(work, "copied.tar", &stdout_of(&mut tar(&empty)));
    let tree = stdout_of(build_image("root").arg(base).arg(nothing));
    unpack(&put(work, "tree.tar", &tree), &root);
    root
}

/// The layer that turns the base into this root.
fn layer(base: &Path, root: &Path, work: &Path) -> PathBuf {
    let tree = put(work, "tree.tar", &stdout_of(&mut tar(root)));
    let changes = stdout_of(build_image("changes").arg(base).arg(tree));
    let changes = put(work, "changes.tar", &changes);
    let config = json!({ "architecture": "amd64", "os": "linux", "config": {},
                         "created": "1970-01-01T00:00:01Z" });
    let config = put(work, "config.json", config.to_string().as_bytes());
    let layer = work.join("layer");
    let mut pack = build_image("layer");
    stdout_of(pack.args([&changes, &layer]).arg("--config").arg(config).args(["--mtime", "1"]));
    layer
}

/// The image with the base and the layer, unpacked by umoci.
fn unpacked(base: &Path, layer: &Path, work: &Path) -> PathBuf {
    let graph = json!({ "graph": [{ "path": layer, "narSize": 1, "references": [] }] });
    let graph = put(work, "graph.json", graph.to_string().as_bytes());
    let mut archive = build_image("archive");
    archive.arg(layer).arg("--closure").arg(graph).arg("--config").arg(work.join("config.json"));
    archive.args(["--mtime", "1", "--name", "app", "--tag", "1", "--from-image"]).arg(base);
    let image = put(work, "image.tar", &stdout_of(&mut archive));
    let (layout, bundle) = (work.join("layout"), work.join("bundle"));
    let mut copy = Command::new("skopeo");
    copy.args(["--insecure-policy", "copy", &format!("docker-archive:{}", image.display())]);
    stdout_of(copy.arg(format!("oci:{}:1", layout.display())));
    let mut umoci = Command::new("umoci");
    umoci.args(["unpack", "--image", &format!("{}:1", layout.display())]);
    stdout_of(umoci.arg(&bundle));
    bundle.join("rootfs")
}
