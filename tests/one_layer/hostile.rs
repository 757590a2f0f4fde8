//! Invalid input ends with a message that names the culprit, and without an archive.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use super::{Case, build_image};
use crate::export::{docker_archive, layer, put};
use crate::support::{failure_of, python3, stdout_of};

#[test]
fn items_must_be_directories_without_circles() {
    let folder = tempfile::tempdir().unwrap();
    let (root, item) = (folder.path().join("root"), folder.path().join("item"));
    fs::create_dir_all(&root).unwrap();
    fs::create_dir_all(item.join("lib")).unwrap();
    symlink("..", item.join("lib/up")).unwrap();
    let said = failure_of(build_image("copy").arg(&root).arg(&item));
    assert!(said.contains("lib/up` links to a directory that contains it"), "{said}");
    assert!(said.contains("keepContentsDirlinks = true"), "{said}");
    let kept = build_image("copy").arg("--keep-dirlinks").arg(&root).arg(&item).status();
    assert!(kept.unwrap().success());

    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let said = failure_of(build_image("copy").arg(&root).arg(&file));
    assert!(said.contains("file` is not a directory"), "{said}");
    let said = failure_of(build_image("copy").arg(&root).arg(folder.path().join("absent")));
    assert!(said.contains("absent`"), "{said}");

    // A file where the root has a directory that is not empty.
    let other = folder.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("lib"), "").unwrap();
    let said = failure_of(build_image("copy").arg(&root).arg(&other));
    assert!(said.contains("a directory that is not empty"), "{said}");
}

#[test]
fn bases_are_checked() {
    let script = r#"
import io, json, sys, tarfile
def archive(name, members):
    with tarfile.open(f"{sys.argv[1]}/{name}.tar", "w") as out:
        for path, content in members:
            member = tarfile.TarInfo(path)
            member.size = len(content)
            out.addfile(member, io.BytesIO(content))
manifest = lambda **image: ("manifest.json", json.dumps([image]).encode())
config = ("c.json", json.dumps({"rootfs": {"diff_ids": ["sha256:" + "0" * 64]}}).encode())
archive("empty", [])
archive("outside", [("../x", b"")])
archive("no-config", [manifest(Layers=[])])
archive("absent", [manifest(Config="c.json", Layers=["l/layer.tar"]), config])
archive("damaged", [manifest(Config="c.json", Layers=["l/layer.tar"]), config, ("l/layer.tar", bytes(10240))])
archive("large", [("manifest.json", b" " * (5 << 20))])
"#;
    let cases = [
        ("empty", "it has no `manifest.json`"),
        ("outside", "`../x` leads out of it"),
        ("no-config", "manifest.json names no config"),
        ("absent", "layer `l/layer.tar` is named by the manifest, but missing"),
        ("damaged", "its config says sha256:0000"),
        ("large", "a document has 4194304 at most"),
        ("nothing", "the base image cannot be used: cannot read the image"),
    ];
    let case = Case::new();
    let mut make = Command::new(python3());
    stdout_of(make.args(["-c", script]).arg(case.folder.path()));
    for (name, expected) in cases {
        let base = case.folder.path().join(format!("{name}.tar"));
        let case = Case::new().with("base", base.to_str().unwrap());
        let said = case.ours().unwrap_err();
        assert!(said.contains(expected), "{name}: {said}");
        assert!(said.contains("nothing") || said.contains(name), "{said}");
    }
}

#[test]
fn tar_files_must_be_of_trees() {
    let script = r#"
import io, sys, tarfile
def archive(file, **fields):
    with tarfile.open(f"{sys.argv[1]}/{file}", "w") as out:
        member = tarfile.TarInfo()
        for key, value in fields.items():
            setattr(member, key, value)
        out.addfile(member, io.BytesIO(bytes(member.size)))
archive("outside.tar", name="../x")
archive("absolute.tar", name="/etc/x")
archive("type.tar", name="./x", type=b"V")
archive("link.tar", name="./x", type=tarfile.LNKTYPE, linkname="./absent")
archive("whole.tar", name="./x", size=5000)
data = open(f"{sys.argv[1]}/whole.tar", "rb").read()
open(f"{sys.argv[1]}/cut.tar", "wb").write(data[:2048])
open(f"{sys.argv[1]}/text.tar", "w").write("no archive" * 100)
"#;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    stdout_of(Command::new(python3()).args(["-c", script]).arg(folder));
    let config = put(folder, "config.json", b"{}");
    let base = put(folder, "base.tar", &docker_archive(&[layer(&[(b'5', "./", b"")])]));
    for (tree, of_layer, of_changes) in [
        ("outside", "has the member `../x`", "layer 2 has the entry `../x`, whose name leads out"),
        ("absolute", "has the member `/etc/x`", ""),
        ("type", "has the member `./x`", "whose type `V` is not supported"),
        ("link", "", "a hard link to `absent`, which does not exist"),
        ("cut", "changed while it was being read: 5000 bytes expected", "layer 2 cannot be read"),
        ("text", "wrong checksum", "wrong checksum"),
        ("absent", "No such file or directory", "No such file or directory"),
    ] {
        let tree = folder.join(format!("{tree}.tar"));
        let out = folder.join("out");
        let mut pack = build_image("layer");
        pack.arg(&tree).arg(&out).arg("--config").arg(&config).args(["--mtime", "1"]);
        let mut changes = build_image("changes");
        changes.arg(&base).arg(&tree);
        for (command, expected) in [(pack, of_layer), (changes, of_changes)] {
            if !expected.is_empty() {
                let said = failure_of(&mut { command });
                assert!(said.contains(expected), "{}: {said}", tree.display());
            }
        }
        // Only a layer that was completely written has a description.
        assert!(of_layer.is_empty() || !out.join("json").exists());
        let _ = fs::remove_dir_all(out);
    }
}
