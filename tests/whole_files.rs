//! A file gets its name only when it is complete: neither a full disk nor a kill leaves half a
//! file, whichever command writes it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;

use crate::support::{NIX_IMAGE, TempStore, command, need_root, stdout_of};

/// A store with two confs of an image of a few megabytes.
struct Fixture {
    store: TempStore,
    confs: [PathBuf; 2],
}

/// The commands that write a file: a name, and the arguments, where `A` and `B` are the confs and
/// `OUT` is the file.
const COMMANDS: [(&str, &[&str]); 6] = [
    ("docker-archive", &["write", "A", "OUT", "--format", "docker-archive"]),
    ("oci-archive", &["write", "A", "OUT", "--format", "oci-archive"]),
    ("index", &["write", "A", "OUT", "--format", "oci-archive", "--platform-conf", "B"]),
    ("merge", &["merge", "A", "B", "-o", "OUT"]),
    ("export", &["export", "A", "-o", "OUT"]),
    ("store", &["write", "A.tar", "OUT", "--format", "oci-archive"]),
];

impl Fixture {
    fn new() -> Self {
        let store = TempStore::new();
        let customisation = store.write_customisation_layer(&[0; 10240]);
        let confs = ["amd64", "arm64"].map(|architecture| {
            let path = format!("/nix/store/{}-{architecture}", "p".repeat(32));
            for part in 0..4_u8 {
                store.write(&format!("{path}/{part}"), vec![part; 5 << 20]);
            }
            let mut conf = TempStore::conf(&json!([[path]]), &customisation);
            conf["architecture"] = json!(architecture);
            conf["repo_tag"] = json!(format!("{architecture}:1"));
            store.write_conf(architecture, &conf)
        });
        let mut write = store.nix_image("write", &confs[0]);
        let archive = store.root().join("A.tar");
        stdout_of(write.arg(&archive).args(["--format", "docker-archive"]));
        Self { store, confs }
    }

    fn command(&self, arguments: &[&str], out: &Path) -> Command {
        let mut command = command(NIX_IMAGE, &[] as &[&str]);
        for argument in arguments {
            match *argument {
                "A" => command.arg(&self.confs[0]),
                "B" => command.arg(&self.confs[1]),
                "A.tar" => command.arg(self.store.root().join("A.tar")),
                "OUT" => command.arg(out),
                other => command.arg(other),
            };
        }
        command.arg("--store-root").arg(self.store.root());
        // Remembered digests leave more time for a kill.
        command.env("XDG_CACHE_HOME", self.store.root().join("cache"));
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }
}

#[test]
fn a_full_disk_leaves_no_file() {
    need_root("mount a small disk");
    let fixture = Fixture::new();
    let disk = fixture.store.root().join("disk");
    fs::create_dir(&disk).unwrap();
    stdout_of(command("mount", &["-t", "tmpfs", "-o", "size=8m", "tmpfs"]).arg(&disk));
    let found: Vec<_> = COMMANDS
        .iter()
        .map(|(name, arguments)| {
            let output = fixture.command(arguments, &disk.join("image.tar")).output().unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            (name, output.status.code(), said, fs::read_dir(&disk).unwrap().count())
        })
        .collect();
    stdout_of(command("umount", &["--lazy"]).arg(&disk));
    for (name, status, said, left) in found {
        assert_eq!(status, Some(1), "{name}: {said}");
        assert!(said.contains("image.tar") && said.contains("No space left"), "{name}: {said}");
        assert_eq!(left, 0, "{name} left a file: {said}");
    }
}

/// The total size of all files in a folder.
fn size_of(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).unwrap().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum()
}

#[test]
fn a_killed_run_leaves_the_file_of_before() {
    const BEFORE: &[u8] = b"before";
    let fixture = Fixture::new();
    for (name, arguments) in COMMANDS {
        let folder = fixture.store.root().join(name);
        fs::create_dir(&folder).unwrap();
        let out = folder.join("image.tar");
        stdout_of(&mut fixture.command(arguments, &out));
        let whole = fs::read(&out).unwrap();
        let mut killed = 0;
        for _ in 0..5 {
            fs::write(&out, BEFORE).unwrap();
            let before = size_of(&folder);
            let mut child = fixture.command(arguments, &out).stderr(Stdio::null()).spawn().unwrap();
            // Waits until something was written, wherever that is.
            while size_of(&folder) <= before + (1 << 20) && child.try_wait().unwrap().is_none() {
                std::thread::sleep(Duration::from_micros(200));
            }
            let _ = child.kill();
            killed += usize::from(!child.wait().unwrap().success());
            let found = fs::read(&out).unwrap();
            assert!(found == BEFORE || found == whole, "{name}: {} bytes", found.len());
        }
        assert!(killed > 0, "{name} was never killed on its way");
        stdout_of(&mut fixture.command(arguments, &out));
        assert!(fs::read(&out).unwrap() == whole, "{name}");
        // What killed runs left behind is gone.
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "{name}");
    }
}
