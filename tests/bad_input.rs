//! Bad input results in status 1, a single message that names the culprit, and no archive that a
//! reader would mistake for complete.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::base::{self, Header, Records};
use crate::support::{self, DROP_IN, NIX_IMAGE, TempStore, is_root, need_root, python3};

const PATH: &str = "/nix/store/00000000000000000000000000000000-tree-1.0";

/// A store with one path and a customisation layer, and its conf.
fn simple() -> (TempStore, Value) {
    let store = TempStore::new();
    store.write(&format!("{PATH}/bin/hello"), "#!/bin/sh\n");
    let customisation = store.write_customisation_layer(&tar_of(&[("etc", b"")]));
    (store, TempStore::conf(&json!([[PATH]]), &customisation))
}

fn tar_of(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in members {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_cksum();
        tar.append_data(&mut header, name, *content).unwrap();
    }
    tar.into_inner().unwrap()
}

/// Whether a reader would take this for a complete image: the manifest is the last member.
fn looks_complete(archive: &[u8]) -> bool {
    archive.windows(13).any(|window| window == b"manifest.json")
}

/// Checks that a run failed, with a message that has all these parts.
fn assert_failed(case: &str, output: &Output, parts: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{case}: {said}");
    let messages: Vec<_> = said.split_inclusive('\n').collect();
    let first = messages.iter().position(|line| line.starts_with("error: "));
    let message = messages[first.unwrap_or(messages.len())..].concat();
    // A hint may follow.
    assert_eq!(message.matches("error: ").count(), 1, "{case}: one message: {said}");
    for part in parts {
        assert!(message.contains(part), "{case}: `{part}` is not in: {message}");
    }
    assert!(!looks_complete(&output.stdout), "{case}: the archive looks complete");
}

/// Everything written to a closed standard output is lost, so no command may succeed there.
#[test]
fn a_closed_standard_output_is_an_error() {
    let (store, conf) = simple();
    let conf = store.write_conf("conf", &conf);
    let graph = store.write_conf("graph", &json!([]));
    for (program, arguments) in [
        (DROP_IN, vec![conf.as_os_str()]),
        (NIX_IMAGE, vec!["stream".as_ref(), conf.as_os_str()]),
        (NIX_IMAGE, vec!["inspect".as_ref(), conf.as_os_str()]),
        (NIX_IMAGE, vec!["plan".as_ref(), graph.as_os_str()]),
        (NIX_IMAGE, vec!["cache".as_ref(), "info".as_ref()]),
    ] {
        let mut closed = Command::new("sh");
        closed.args(["-c", "exec \"$@\" >&-", "sh", program]).args(&arguments);
        assert_failed("closed", &closed.output().unwrap(), &["standard output is closed"]);
        let mut null = Command::new(program);
        null.args(&arguments).stdout(Stdio::null());
        let said = String::from_utf8(null.output().unwrap().stderr).unwrap();
        assert!(!said.contains("standard output"), "{said}");
    }
}

/// Endless input must be rejected before it fills the memory.
#[test]
fn a_document_that_does_not_end_is_not_read_to_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let endless = |command: &str| {
        let mut endless = Command::new(NIX_IMAGE);
        endless.arg(command).current_dir(directory.path());
        endless
    };
    let (too_long, no_conf) = ("expected 256 MiB at most, found more", "is in an unknown format");
    for (arguments, stdin, part) in [
        (&["stream", "/dev/zero"][..], None, no_conf),
        (&["stream", "-"], Some("/dev/zero"), no_conf),
        (&["plan", "/dev/zero"], None, too_long),
        (&["plan", "-"], Some("/dev/zero"), too_long),
        (&["simulate", "/dev/zero", "/dev/zero"], None, too_long),
        (&["layers", "/dev/zero"], None, no_conf),
    ] {
        let mut command = endless(arguments[0]);
        command.args(&arguments[1..]);
        if let Some(file) = stdin {
            command.stdin(fs::File::open(file).unwrap());
        }
        let output = command.output().unwrap();
        assert_failed(&arguments.join(" "), &output, &[part]);
    }
    let mut text = Command::new("yes").arg("[").stdout(Stdio::piped()).spawn().unwrap();
    let output = endless("stream").arg("-").stdin(text.stdout.take().unwrap()).output().unwrap();
    assert_failed("text", &output, &[too_long]);
    text.wait().unwrap();
}

/// A base image in a plain archive that was damaged after it was read once.
#[test]
fn a_base_image_that_was_damaged_after_its_use_is_found_by_verifying() {
    let (store, mut conf) = simple();
    let base = store.root().join("base.tar");
    fs::write(&base, base_archive(&tar_of(&[("etc", b"content")]), |_, _| ())).unwrap();
    conf["from_image"] = json!(base);
    let conf = store.write_conf("conf", &conf);
    support::stdout_of(&mut store.nix_image("stream", &conf));
    let time = base.metadata().unwrap().modified().unwrap();
    let mut bytes = fs::read(&base).unwrap();
    let place = bytes.windows(7).position(|window| window == b"content").unwrap();
    bytes[place] = b'k';
    fs::write(&base, bytes).unwrap();
    OpenOptions::new().append(true).open(&base).unwrap().set_modified(time).unwrap();
    let parts = ["layer.tar", "fetch or build it again"];
    let verified = store.nix_image("stream", &conf).arg("--verify").output().unwrap();
    assert_failed("verified", &verified, &parts);
    assert_failed("then", &store.nix_image("stream", &conf).output().unwrap(), &parts);
}

/// A layer that is compressed in the base image has the diffID of its uncompressed content.
#[test]
fn good_layers_of_a_base_image_are_verified_however_they_are_compressed() {
    let layer = tar_of(&[("etc", b"content")]);
    let diff_id = json!([format!("sha256:{}", support::sha256(&layer))]);
    for packed in [layer.clone(), gzip(&layer), zstd::encode_all(&*layer, 1).unwrap()] {
        let (store, mut conf) = simple();
        let base = store.root().join("base.tar");
        let archive = base_archive(&packed, |_, config| {
            config["rootfs"]["diff_ids"].clone_from(&diff_id);
        });
        fs::write(&base, archive).unwrap();
        conf["from_image"] = json!(base);
        let conf = store.write_conf("conf", &conf);
        let plain = support::stdout_of(&mut store.nix_image("stream", &conf));
        for _ in ["cold", "warm"] {
            let verified = support::stdout_of(store.nix_image("stream", &conf).arg("--verify"));
            assert!(verified == plain);
        }
    }
}

#[test]
fn a_base_image_that_is_no_file_is_not_waited_for() {
    let (store, mut conf) = simple();
    let fifo = store.root().join("base.tar");
    support::stdout_of(&mut support::command("mkfifo", &[&fifo]));
    conf["from_image"] = json!(fifo);
    let conf = store.write_conf("conf", &conf);
    let output = store.nix_image("stream", &conf).output().unwrap();
    assert_failed("fifo", &output, &["base.tar", "it is not a file"]);
}

/// A limit on processes also counts threads.
#[test]
fn threads_that_cannot_be_started_are_an_error() {
    let (store, conf) = simple();
    let conf = store.write_conf("conf", &conf);
    fs::set_permissions(store.root(), Permissions::from_mode(0o755)).unwrap();
    // The limit does not apply to root, so another user has to run a copy that it can read.
    let program = store.root().join("program");
    fs::copy(NIX_IMAGE, &program).unwrap();
    let user: &[&str] = &["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups", "--"];
    for command in ["stream", "inspect"] {
        let mut limited = Command::new("env");
        limited.args(if is_root() { user } else { &[] });
        limited.args(["prlimit", "--nproc=1", "--"]).arg(&program).arg(command);
        limited.arg(&conf).arg("--store-root").arg(store.root());
        limited.env_remove("XDG_CACHE_HOME").env_remove("HOME");
        let parts = ["cannot start a thread", "ulimit -u"];
        assert_failed(command, &limited.output().unwrap(), &parts);
    }
}

/// A change to a simple image's conf or store, and parts of the expected message.
type Case = (&'static str, fn(&TempStore, &mut Value), &'static [&'static str]);

const CASES: &[Case] = &[
    (
        "a store path that does not exist",
        |_, conf| conf["store_layers"] = json!([["/nix/store/0-gone"]]),
        &["/nix/store/0-gone", "does not exist", "nix-store --realise"],
    ),
    (
        "a path outside of the store",
        |_, conf| conf["store_layers"] = json!([["/etc/pass-wd"]]),
        &["`/etc/pass-wd` is not in the store `/nix/store`"],
    ),
    (
        "a path that only starts like the store",
        |_, conf| conf["store_layers"] = json!([["/nix/storefoo/0-x"]]),
        &["`/nix/storefoo/0-x` is not in the store"],
    ),
    (
        "a path that leads out of the store",
        |_, conf| conf["store_layers"] = json!([["/nix/store/../../etc/pass-wd"]]),
        &["contains `..`"],
    ),
    (
        "the store itself",
        |_, conf| conf["store_layers"] = json!([["/nix/store"]]),
        &["`/nix/store` has no name part", "<hash>-<name>"],
    ),
    (
        "a path with a hash alone",
        |_, conf| conf["store_layers"] = json!([["/nix/store/00000000000000000000000000000000"]]),
        &["has no name part"],
    ),
    (
        "a relative path",
        |_, conf| conf["store_layers"] = json!([["nix/store/0-x"]]),
        &["`nix/store/0-x` is a relative path"],
    ),
    (
        "a relative customisation layer",
        |_, conf| conf["customisation_layer"] = json!("layer"),
        &["`layer` is a relative path", "customisation layer"],
    ),
    (
        "a relative base image",
        |_, conf| conf["from_image"] = json!("base.tar"),
        &["`base.tar` is a relative path", "base image"],
    ),
    (
        "no base image where one is named",
        |_, conf| conf["from_image"] = json!("/nix/store/0-base.tar"),
        &["the base image cannot be used: cannot read the image", "0-base.tar", "No such file"],
    ),
    (
        "no customisation layer",
        |_, conf| conf["customisation_layer"] = json!("/nix/store/0-gone"),
        &["/nix/store/0-gone", "does not exist"],
    ),
    (
        "a socket",
        |store, _| drop(UnixListener::bind(store.place(&format!("{PATH}/socket"))).unwrap()),
        &["/socket` is a socket", "remove it"],
    ),
    (
        "a loop of links as customisation layer",
        |store, conf| {
            symlink("0-loop", store.place("/nix/store/0-loop")).unwrap();
            conf["customisation_layer"] = json!("/nix/store/0-loop");
        },
        &["/nix/store/0-loop", "loop of symbolic links"],
    ),
    (
        "a loop of links as base image",
        |store, conf| {
            symlink("/nix/store/0-pong", store.place("/nix/store/0-ping")).unwrap();
            symlink("/nix/store/0-ping", store.place("/nix/store/0-pong")).unwrap();
            conf["from_image"] = json!("/nix/store/0-ping");
        },
        &["/nix/store/0-ping", "loop of symbolic links"],
    ),
    (
        "a checksum file with something else",
        |store, conf| {
            let layer = conf["customisation_layer"].as_str().unwrap().to_owned();
            store.write(&format!("{layer}/checksum"), "sha256:1234\n");
        },
        &["checksum file", "-customisation-layer", "expected 64 hexadecimal digits", "sha256:1234"],
    ),
    (
        "a checksum file of another layer",
        |store, conf| {
            let layer = conf["customisation_layer"].as_str().unwrap().to_owned();
            store.write(&format!("{layer}/checksum"), "0".repeat(64));
        },
        &["-customisation-layer", "is damaged", "build it again", "0000000"],
    ),
    (
        "a customisation layer without its checksum",
        |store, conf| {
            let layer = conf["customisation_layer"].as_str().unwrap().to_owned();
            fs::remove_file(store.place(&format!("{layer}/checksum"))).unwrap();
        },
        &["has a layer.tar, but no checksum"],
    ),
    (
        "a date that is none",
        |_, conf| conf["created"] = json!("yesterday"),
        &["`created` must be \"now\" or a date", "`yesterday`"],
    ),
    (
        "a uid that is not a number",
        |_, conf| conf["uid"] = json!("root"),
        &["`uid` must be a whole number", "`root`"],
    ),
    (
        "an environment that cannot be added to a base image's",
        |_, conf| {
            conf["config"] = json!({"Env": "A=1"});
            conf["from_image"] = json!("/nix/store/0-base");
        },
        &["`config.Env` must be a list of strings", "a string (\"A=1\")"],
    ),
    (
        "a conf without layers",
        |_, conf| drop(conf.as_object_mut().unwrap().remove("store_layers")),
        &["no `store_layers`"],
    ),
    (
        "no tag at all",
        |_, conf| drop(conf.as_object_mut().unwrap().remove("repo_tag")),
        &["no `repo_tag`", "`-t NAME:TAG`"],
    ),
];

#[test]
fn each_fault_has_its_message() {
    for (case, change, parts) in CASES {
        let (store, mut conf) = simple();
        change(&store, &mut conf);
        let conf = store.write_conf("conf", &conf);
        let output = store.nix_image("stream", &conf).output().unwrap();
        assert_failed(case, &output, parts);
    }
}

#[test]
fn the_simple_image_itself_is_sound() {
    let (store, conf) = simple();
    let conf = store.write_conf("conf", &conf);
    assert!(looks_complete(&support::stdout_of(&mut store.nix_image("stream", &conf))));
}

#[test]
fn confs_that_cannot_be_read() {
    let store = TempStore::new();
    let gone = store.root().join("gone.json");
    let output = store.nix_image("stream", &gone).output().unwrap();
    assert_failed("no conf", &output, &["there is no file", "gone.json"]);
    let broken = store.root().join("broken.json");
    fs::write(&broken, "{\n  \"architecture\": amd64\n}").unwrap();
    let output = store.nix_image("stream", &broken).output().unwrap();
    assert_failed("broken JSON", &output, &["broken.json", "line 2 column 19"]);
    for half in ["\\ud800", "\\udcff", "\\ud800\\u0041", "\\ud800\\n", "\\udc00\\ud800"] {
        fs::write(&broken, format!("{{\n \"architecture\": \"{half}\"}}")).unwrap();
        let output = store.nix_image("stream", &broken).output().unwrap();
        assert_failed(
            half,
            &output,
            &["broken.json", "half of a surrogate pair", "at line 2 column"],
        );
    }
    fs::write(&broken, "[]").unwrap();
    let output = store.nix_image("stream", &broken).output().unwrap();
    assert_failed("a list", &output, &["must be an object, but it is a list"]);
}

#[test]
fn a_path_listed_twice_is_written_twice_with_a_warning() {
    let (store, mut conf) = simple();
    conf["store_layers"] = json!([[PATH], [PATH]]);
    conf["from_the_future"] = json!(1);
    let conf = store.write_conf("conf", &conf);
    let output = store.nix_image("stream", &conf).output().unwrap();
    assert!(output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    let warnings: Vec<_> = said.lines().filter(|line| line.starts_with("warning: ")).collect();
    assert_eq!(warnings.len(), 2, "{said}");
    assert!(warnings[0].contains("`from_the_future` is unknown"), "{said}");
    assert!(warnings[1].contains(PATH) && warnings[1].contains("more than once"), "{said}");
    let image = support::archive::image(&output.stdout);
    assert_eq!(image.layer_digests[0], image.layer_digests[1]);
}

#[test]
fn a_nar_hash_that_is_none_is_left_out_with_a_warning() {
    for hash in ["sha256:z", "sha256:", "sha256:123456789", "md5:0", "sha256:é"] {
        let (store, mut conf) = simple();
        conf["nar_hashes"] = json!({ PATH: hash });
        let conf = store.write_conf("conf", &conf);
        let output = store.nix_image("stream", &conf).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && looks_complete(&output.stdout), "{hash}: {said}");
        assert!(said.contains(&format!("warning: the NAR hash `{hash}` of `{PATH}`")), "{said}");
    }
}

#[test]
fn standard_error_says_what_nixpkgs_script_says() {
    let (store, conf) = simple();
    let conf = store.write_conf("conf", &conf);
    let output = store.nix_image("stream", &conf).output().unwrap();
    let expected = format!(
        "No 'fromImage' provided\nCreating layer 1 from paths: ['{PATH}']\n\
         Creating layer 2 with customisation...\nAdding manifests...\nDone.\n"
    );
    assert_eq!(String::from_utf8(output.stderr).unwrap(), expected);
}

/// The arguments of the drop-in, in argparse's forms.
#[test]
fn the_drop_in_takes_argparses_forms() {
    let (store, mut conf) = simple();
    // The store is at its real path, so only the tag of an image without paths can be tested.
    conf["store_layers"] = json!([]);
    conf["store_dir"] = json!(store.place("/nix/store").to_str().unwrap());
    conf["customisation_layer"] =
        json!(store.place(conf["customisation_layer"].as_str().unwrap()).to_str().unwrap());
    let conf = store.write_conf("conf", &conf);
    let conf = conf.to_str().unwrap();
    for (arguments, tag) in [
        (vec![conf], "test:1"),
        (vec![conf, "-t", "a:2"], "a:2"),
        (vec!["-ta:2", conf], "a:2"),
        (vec![conf, "--repo_tag", "a:2"], "a:2"),
        (vec!["--repo_tag=a:2", conf], "a:2"),
        (vec!["--repo", "a:2", conf], "a:2"),
        (vec!["--r=a:2", conf], "a:2"),
        (vec![conf, "--tag", "a:2"], "a:2"),
        (vec!["--tag=a:2", conf], "a:2"),
        (vec![conf, "--repo_tag", "b:3", "--tag", "a:2"], "a:2"),
        (vec![conf, "-t", ""], "test:1"),
        (vec![conf, "--repo_tag="], "test:1"),
        (vec![conf, "-t", "a:2", "-t", "b:3"], "b:3"),
    ] {
        let archive = support::stdout_of(&mut support::command(DROP_IN, &arguments));
        let tags = format!("\"RepoTags\": [\n            \"{tag}\"\n");
        assert!(
            archive.windows(tags.len()).any(|window| window == tags.as_bytes()),
            "{arguments:?}"
        );
    }
    for (arguments, part) in [
        (vec![], "Usage: stream-layered-image"),
        (vec!["-t"], "a value is required"),
        (vec!["--nonsense", conf], "Usage: stream-layered-image"),
        (vec![conf, conf], "Usage: stream-layered-image"),
    ] {
        let output = support::command(DROP_IN, &arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(part), "{arguments:?}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn archives_are_not_written_to_terminals() {
    let (store, conf) = simple();
    let conf = store.write_conf("conf", &conf);
    let script = "import os, pty, sys; \
                  sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";
    let mut python = Command::new(python3());
    let output = python.args(["-c", script, NIX_IMAGE, "stream"]).arg(conf).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("to a terminal") && said.contains("docker load"), "{said}");
    assert!(!looks_complete(&output.stdout));
}

#[test]
fn a_full_disk_is_an_error() {
    let (store, conf) = simple();
    let conf = store.write_conf("conf", &conf);
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = store.nix_image("stream", &conf).stdout(full).output().unwrap();
    assert_failed("full disk", &output, &["cannot write the archive", "No space left on device"]);
}

#[test]
fn a_reader_that_closes_early_ends_it_quietly() {
    let (store, conf) = simple();
    store.write(&format!("{PATH}/large"), vec![7; 4 << 20]);
    let conf = store.write_conf("conf", &conf);
    let mut child = store
        .nix_image("stream", &conf)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut start = [0; 512];
    child.stdout.take().unwrap().read_exact(&mut start).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(!said.contains("error"), "{said}");
}

/// Runs as a user who, unlike root, cannot read everything.
fn as_nobody(command: &Command) -> Command {
    let mut other = Command::new("setpriv");
    other.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    other.arg(command.get_program()).args(command.get_args());
    other
}

#[test]
fn what_cannot_be_read_is_an_error() {
    need_root("run a program as someone else");
    for (what, action) in [("bin", "cannot open"), ("bin/hello", "cannot open")] {
        let (store, conf) = simple();
        fs::set_permissions(store.root(), Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(store.place(&format!("{PATH}/{what}")), Permissions::from_mode(0o000))
            .unwrap();
        let conf = store.write_conf("conf", &conf);
        let mut command = store.nix_image("stream", &conf);
        command.arg("--no-cache");
        let output = as_nobody(&command).output().unwrap();
        assert_failed(what, &output, &[action, what, "Permission denied"]);
    }
}

/// Changes a file after it was hashed and before it is written: so much precedes it that the pipe
/// is full until the archive is read.
#[test]
fn files_that_change_while_they_are_read_are_errors() {
    type Change = (&'static str, fn(&Path), &'static [&'static str]);
    let changes: &[Change] = &[
        (
            "shrinks",
            |path| truncate(path, 10),
            &["zz-last` shrank", "40000 bytes expected, 10 found"],
        ),
        ("grows", |path| append(path), &["zz-last` grew", "40000 bytes expected"]),
        (
            "vanishes",
            |path| fs::remove_file(path).unwrap(),
            &["cannot open", "zz-last", "No such file"],
        ),
        (
            "becomes a link",
            |path| {
                fs::remove_file(path).unwrap();
                symlink("/etc/passwd", path).unwrap();
            },
            &["cannot open", "zz-last", "symbolic links"],
        ),
        (
            "becomes a directory",
            |path| {
                fs::remove_file(path).unwrap();
                fs::create_dir(path).unwrap();
            },
            &["cannot read", "zz-last", "Is a directory"],
        ),
    ];
    for large in [false, true] {
        for (case, change, parts) in changes {
            let (store, conf) = simple();
            for number in 0..400u16 {
                store.write(&format!("{PATH}/{number:03}"), vec![number.to_le_bytes()[0]; 60_000]);
            }
            let last = format!("{PATH}/zz-last");
            store.write(&last, vec![1; 40_000]);
            if large {
                store.write(&last, vec![1; 400_000]);
            }
            let conf = store.write_conf("conf", &conf);
            let output = change_while_streaming(&store, &conf, || change(&store.place(&last)));
            let parts: Vec<_> = parts
                .iter()
                .map(|part| if large { part.replace("40000", "400000") } else { (*part).into() })
                .collect();
            let parts: Vec<_> = parts.iter().map(String::as_str).collect();
            assert_failed(case, &output, &parts);
        }
    }
}

/// Starts a stream, makes a change as soon as data flows, and reads the stream to its end.
fn change_while_streaming(store: &TempStore, conf: &Path, change: impl FnOnce()) -> Output {
    let mut child = store
        .nix_image("stream", conf)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut archive = vec![0; 512];
    stdout.read_exact(&mut archive).unwrap();
    change();
    stdout.read_to_end(&mut archive).unwrap();
    let output = child.wait_with_output().unwrap();
    Output { stdout: archive, ..output }
}

fn truncate(path: &Path, size: u64) {
    OpenOptions::new().write(true).open(path).unwrap().set_len(size).unwrap();
}

fn append(path: &Path) {
    OpenOptions::new().append(true).open(path).unwrap().write_all(b"more").unwrap();
}

/// A base image with one layer, whose documents a test may change.
fn base_archive(layer: &[u8], change: impl FnOnce(&mut Value, &mut Value)) -> Vec<u8> {
    let mut manifest = json!([{"Config": "config.json", "RepoTags": [], "Layers": ["layer.tar"]}]);
    let digest = format!("sha256:{}", support::sha256(layer));
    let mut config = json!({"config": {}, "rootfs": {"type": "layers", "diff_ids": [digest]}});
    change(&mut manifest, &mut config);
    tar_of(&[
        ("layer.tar", layer),
        ("config.json", config.to_string().as_bytes()),
        ("manifest.json", manifest.to_string().as_bytes()),
    ])
}

fn linked_base() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    tar.append_link(&mut header, "layer.tar", "../other/layer.tar").unwrap();
    let mut archive = tar.into_inner().unwrap();
    archive.truncate(512);
    let rest = base_archive(b"", |_, _| ());
    archive.extend_from_slice(&rest[512..]);
    archive
}

#[test]
fn base_images_that_are_broken_are_errors() {
    let good = tar_of(&[("etc", b"")]);
    // The content is complete, but the trailer is cut off.
    let cut = |packed: Vec<u8>| {
        base_archive(&packed[..packed.len() - 3], |_, config| {
            config["rootfs"]["diff_ids"] = json!([format!("sha256:{}", support::sha256(&good))]);
        })
    };
    let cases: &[(&str, Vec<u8>, &[&str])] = &[
        ("no tar", b"no tar\n".repeat(200), &["cannot read the image"]),
        ("empty", Vec::new(), &["no manifest.json", "docker save"]),
        ("no manifest", tar_of(&[("layer.tar", b"")]), &["no manifest.json"]),
        (
            "no such layer",
            base_archive(&good, |manifest, _| manifest[0]["Layers"] = json!(["other.tar"])),
            &["`other.tar` is named by the manifest, but missing"],
        ),
        (
            "more layers than diff_ids",
            base_archive(&good, |_, config| config["rootfs"]["diff_ids"] = json!([])),
            &["1 layers, but 0 diff_ids"],
        ),
        (
            "another layer",
            base_archive(&good, |_, config| {
                config["rootfs"]["diff_ids"] = json!([format!("sha256:{}", "0".repeat(64))]);
            }),
            &["layer `layer.tar` has the digest sha256:", "says sha256:0000"],
        ),
        (
            "a diff_id that is not a digest",
            base_archive(&good, |_, config| config["rootfs"]["diff_ids"] = json!(["sha256:1"])),
            &["diff_id", "expected 64 hexadecimal digits"],
        ),
        ("a layer cut off in gzip's end", cut(gzip(&good)), &["cannot read the image"]),
        (
            "a layer cut off in zstd's end",
            cut(zstd::encode_all(&*[&good[..], b"end"].concat(), 1).unwrap()),
            &["cannot read the image"],
        ),
        ("a linked layer", linked_base(), &["`layer.tar` is a link", "save it again"]),
        (
            "layers that are not strings",
            base_archive(&good, |manifest, _| manifest[0]["Layers"] = json!([1])),
            &["manifest.json's Layers is not a list of strings"],
        ),
        (
            "an empty manifest",
            base_archive(&good, |manifest, _| *manifest = json!([])),
            &["Config"],
        ),
    ];
    for (case, archive, parts) in cases {
        for compress in [false, true] {
            let (store, mut conf) = simple();
            let archive = if compress { gzip(archive) } else { archive.clone() };
            store.write("/nix/store/0-base.tar", archive);
            conf["from_image"] = json!("/nix/store/0-base.tar");
            let conf = store.write_conf("conf", &conf);
            let output = store.nix_image("stream", &conf).output().unwrap();
            assert_failed(case, &output, parts);
            assert!(String::from_utf8_lossy(&output.stderr).contains("0-base.tar"), "{case}");
        }
    }
}

/// Headers with impossible or excessive values, in front of a good base image.
#[test]
fn base_images_with_such_headers_are_errors() {
    let record = |keyword: &str, value: &str| (keyword.to_owned(), value.as_bytes().to_vec());
    let extension = |typeflag, records: &Records| {
        let mut out = Vec::new();
        base::write_extension(typeflag, &base::payload(records), &mut out);
        out
    };
    let own = |keyword, value| extension(b'x', &vec![record(keyword, value)]);
    let global = |keyword, value| extension(b'g', &vec![record(keyword, value)]);
    let header = |change: &dyn Fn(&mut Header)| {
        let mut header = Header::plain(b'0', "other");
        change(&mut header);
        let mut out = Vec::new();
        header.write(&base::octal(0), b"", &mut out);
        out
    };
    let claim = |typeflag, size: &[u8]| {
        let mut out = Vec::new();
        Header::plain(typeflag, "././@PaxHeader").write(size, b"", &mut out);
        out
    };
    let mut malformed = Vec::new();
    base::write_extension(b'x', b"7 a=b\n", &mut malformed);
    let mut checksum = header(&|_| ());
    checksum[148] ^= 1;
    let holes = own("GNU.sparse.map", "0,0");
    let cases: &[(&str, Vec<u8>, &[&str])] = &[
        (
            "3 GiB of records",
            claim(b'x', b"30000000000\0"),
            &["3221225472 bytes", "more than 1048576"],
        ),
        ("3 GiB of globals", claim(b'g', b"30000000000\0"), &["byte 0", "3221225472 bytes"]),
        ("a name of 1 GiB", claim(b'L', b"10000000000\0"), &["1073741824 bytes"]),
        ("a target of 1 GiB", claim(b'K', b"10000000000\0"), &["1073741824 bytes"]),
        ("less than nothing", claim(b'x', &[0xff; 12]), &["-1 is out of range for size"]),
        ("a negative size", own("size", "-5"), &["-5 is out of range for size"]),
        ("a size beyond all", own("size", &"9".repeat(30)), &["is out of range for size"]),
        ("records cut off", claim(b'x', b"00000777777\0"), &["the archive is cut off within it"]),
        ("a size past the end", own("size", "99999999"), &["unexpected end of file"]),
        ("one size for all", global("size", "5"), &["gives all members the same size"]),
        ("two own", [own("a", "1"), own("b", "2")].concat(), &["byte 1024", "two of its kind"]),
        ("a global too late", [own("a", "1"), global("b", "2")].concat(), &["its own records"]),
        ("a malformed record", malformed, &["byte 0", "a record in it is malformed"]),
        ("a wrong checksum", checksum, &["byte 0 has a wrong checksum"]),
        (
            "a uid of letters",
            header(&|header| header.uid = b"bob\0".to_vec()),
            &["`bob\\x00", "is not an octal number for uid"],
        ),
        ("a time without end", own("mtime", "inf"), &["`layer.tar` has a time that is not"]),
        ("no time at all", global("mtime", "nan"), &["`layer.tar` has a time that is not"]),
        ("holes", holes, &["`layer.tar` is stored as a file with holes", "--no-read-sparse"]),
    ];
    let good = base_archive(&tar_of(&[("etc", b"")]), |_, _| ());
    for (case, headers, parts) in cases {
        for compress in [false, true] {
            let (store, mut conf) = simple();
            let archive = [headers, good.as_slice()].concat();
            store.write("/nix/store/0-base.tar", if compress { gzip(&archive) } else { archive });
            conf["from_image"] = json!("/nix/store/0-base.tar");
            let conf = store.write_conf("conf", &conf);
            let output = store.nix_image("stream", &conf).output().unwrap();
            assert_failed(case, &output, parts);
        }
    }
}

/// An archive states how much memory its decompression takes.
#[test]
fn base_images_that_take_too_much_to_decompress_are_errors() {
    let archive = base_archive(b"", |_, _| ());
    let mut zstd = zstd::Encoder::new(Vec::new(), 1).unwrap();
    zstd.window_log(28).unwrap();
    zstd.write_all(&archive).unwrap();
    let mut xz = Vec::new();
    liblzma::bufread::XzEncoder::new(archive.as_slice(), 0).read_to_end(&mut xz).unwrap();
    // The stream's header is followed by the block's: its length in words, ..., the dictionary
    // size, ..., and a checksum.
    let block = 12..12 + 4 * (usize::from(xz[12]) + 1);
    let checksum = block.end - 4;
    xz[block.start + 4] = 40;
    let mut crc = flate2::Crc::new();
    crc.update(&xz[block.start..checksum]);
    xz[checksum..block.end].copy_from_slice(&crc.sum().to_le_bytes());
    for (case, archive) in [("xz", xz), ("zstd", zstd.finish().unwrap())] {
        let (store, mut conf) = simple();
        store.write("/nix/store/0-base.tar", archive);
        conf["from_image"] = json!("/nix/store/0-base.tar");
        let conf = store.write_conf("conf", &conf);
        let output = store.nix_image("stream", &conf).output().unwrap();
        assert_failed(case, &output, &["0-base.tar", "over 128 MiB", "compress it again"]);
    }
}

pub(crate) fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        Just(json!("/nix/store/0-x")),
        Just(json!("now")),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[A-Za-z]{1,8}", inner), 0..4)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// Whatever is put into a conf or cut off it, the program exits with 0 or 1 and does not panic.
    #[test]
    fn no_conf_makes_it_panic(key in 0usize..14, value in any_json(), cut in 0usize..2000) {
        let (store, mut conf) = simple();
        let name = conf.as_object().unwrap().keys().nth(key % conf.as_object().unwrap().len()).cloned();
        conf[name.unwrap()] = value;
        let mut text = conf.to_string().into_bytes();
        if cut < 300 {
            text.truncate(cut);
        }
        let place = store.root().join("conf.json");
        fs::write(&place, text).unwrap();
        let output = store.nix_image("stream", &place).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        prop_assert!(matches!(output.status.code(), Some(0 | 1)), "{said}");
        prop_assert!(!said.contains("panicked"), "{said}");
        prop_assert_eq!(output.status.success(), looks_complete(&output.stdout));
    }

    /// The same for a base image that is damaged anywhere.
    #[test]
    fn no_base_image_makes_it_panic(at in any::<prop::sample::Index>(), byte in any::<u8>(), compress in any::<bool>()) {
        let (store, mut conf) = simple();
        let archive = base_archive(&tar_of(&[("etc", b"")]), |_, config| config["config"] = json!({"Env": ["A=1"]}));
        let mut archive = if compress { gzip(&archive) } else { archive };
        let at = at.index(archive.len());
        if byte == 0 {
            archive.truncate(at);
        } else {
            archive[at] ^= byte;
        }
        store.write("/nix/store/0-base.tar", archive);
        conf["from_image"] = json!("/nix/store/0-base.tar");
        let conf = store.write_conf("conf", &conf);
        let output = store.nix_image("stream", &conf).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        prop_assert!(matches!(output.status.code(), Some(0 | 1)), "{said}");
        prop_assert!(!said.contains("panicked"), "{said}");
        prop_assert_eq!(output.status.success(), looks_complete(&output.stdout));
    }
}
