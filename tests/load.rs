//! `nix-image load`, into real engines and into one that misbehaves.

use crate::golden::Golden;
use crate::support::engines::{self, Engine};
use crate::support::{
    NIX_IMAGE, TempStore, cannot_run, failure_of, need, need_root, stdout_of, without_start,
};
use delivery::http::{Body, RequestHead};
use rustix::process::{Pid, Signal};
use serde_json::{Value, json};
use std::io::{BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

/// What `load` reports.
fn load(mut command: Command) -> String {
    let Output { status, stderr, stdout } = command.output().unwrap();
    let said = String::from_utf8(stderr).unwrap();
    assert!(status.success(), "{command:?} failed and said:\n{said}");
    assert!(stdout.is_empty(), "standard output is for data");
    let line = without_start(&said).trim();
    assert_eq!(line.lines().count(), 1, "{line}");
    // Without the time that it took.
    line.rsplit_once(", ").unwrap().0.to_owned()
}

fn is_sent_only_what_it_lacks(engine: &Engine) {
    let golden = Golden::new();
    // The same image with a change in its second-to-last layer.
    let (everything, _) = golden.arguments("everything");
    let mut conf: Value = serde_json::from_slice(&std::fs::read(everything).unwrap()).unwrap();
    let changed = format!("/nix/store/{}-changed", "7".repeat(32));
    golden.store.write(&format!("{changed}/file"), "changed");
    *conf["store_layers"].as_array_mut().unwrap().last_mut().unwrap() = json!([changed]);
    golden.store.write_conf("confs/changed", &conf);
    // dockerd identifies a layer by everything below it, the others by its digest.
    let after_change = if engine.name == "docker" { 2 } else { 1 };
    for (case, options, name, layers, sent) in [
        ("everything", &[][..], "golden:1", 8, 8),
        ("everything", &[], "golden:1", 8, 0),
        ("everything", &["-t", "me/other:2"], "me/other:2", 8, 0),
        ("changed", &["-t", "golden:1"], "golden:1", 8, after_change),
        ("everything", &["-t", "golden:1"], "golden:1", 8, 0),
        ("base-gz", &["-t", "golden:3"], "golden:3", 10, 10),
        ("base", &["-t", "golden:4", "--way", "stream"], "golden:4", 4, 4),
    ] {
        let case_name = format!("{}: {case} {options:?}", engine.name);
        let (conf, _) = golden.arguments(case);
        let mut command = engine.reach(golden.store.nix_image("load", conf));
        command.args(["--engine", engine.name, "--import", "off"]).args(options);
        let said = load(command);
        let start = format!("loaded {name} into {}: ", engine.name);
        assert!(said.starts_with(&start), "{case_name}: {said}");
        // dockerd does not know layers of the base below new ones; the others do.
        if case != "base-gz" || engine.name == "docker" {
            let sent = format!("{sent} of {layers} layers, ");
            assert!(said[start.len()..].starts_with(&sent), "{case_name}: {said}");
        }
        if let Some(id) = golden.expected.get(case).map(|case| &case["config"]) {
            let image = format!("{} sha256:{}", engine.full_name(name), id.as_str().unwrap());
            assert!(engine.images().contains(&image), "{case_name}: {:?}", engine.images());
        }
    }
    let names = engine.images().join("\n");
    assert!(!names.contains("nix-image"), "temporary names are left: {names}");
    assert!(!names.contains("load"), "temporary names are left: {names}");
}

#[test]
fn docker_is_sent_only_what_it_lacks() {
    is_sent_only_what_it_lacks(&engines::docker());
}

#[test]
fn podman_is_sent_only_what_it_lacks() {
    is_sent_only_what_it_lacks(&engines::podman());
}

#[test]
fn containerd_is_sent_only_what_it_lacks() {
    is_sent_only_what_it_lacks(&engines::containerd());
}

/// dockerd with the containerd store pulls; the classic one can do that too.
#[test]
fn docker_can_pull() {
    let (golden, engine) = (Golden::new(), engines::docker());
    let (conf, _) = golden.arguments("everything");
    let mut command = engine.reach(golden.store.nix_image("load", conf));
    command.args(["--engine", "docker", "--way", "pull"]);
    assert!(load(command).contains(" 8 of 8 layers"));
    let id = golden.expected["everything"]["config"].as_str().unwrap();
    assert_eq!(engine.images(), [format!("golden:1 sha256:{id}")]);
}

#[test]
fn docker_with_a_containerd_store_pulls_what_it_lacks() {
    let golden = Golden::new();
    let engine = engines::docker_with_containerd_store();
    let (everything, _) = golden.arguments("everything");
    let mut conf: Value = serde_json::from_slice(&std::fs::read(&everything).unwrap()).unwrap();
    let changed = format!("/nix/store/{}-changed", "7".repeat(32));
    golden.store.write(&format!("{changed}/file"), "changed");
    *conf["store_layers"].as_array_mut().unwrap().last_mut().unwrap() = json!([changed]);
    let changed = golden.store.write_conf("confs/changed", &conf);
    for (conf, name, options, sent) in [
        (&everything, "golden:1", &[][..], 8),
        (&everything, "golden:1", &[], 0),
        (&everything, "me/other:2", &[], 0),
        (&changed, "golden:1", &[], 1),
        (&everything, "golden:1", &[], 0),
        (&changed, "golden:3", &["--way", "stream"], 8),
    ] {
        let mut command = engine.reach(golden.store.nix_image("load", conf));
        command.args(["--engine", "docker", "--import", "off", "-t", name]).args(options);
        let said = load(command);
        assert!(
            said.starts_with(&format!("loaded {name} into docker: {sent} of 8 layers, ")),
            "{said}"
        );
        let archive = stdout_of(&mut golden.store.nix_image("stream", conf));
        let layers = &crate::support::archive::image(&archive).config["rootfs"]["diff_ids"];
        let format = "{{json .RootFS.Layers}}";
        let mut inspect = engine.command("docker", &["inspect", "--format", format, name]);
        let found: Value = serde_json::from_slice(&stdout_of(&mut inspect)).unwrap();
        assert_eq!(&found, layers, "{name}: {said}");
    }
    let images = engine.images();
    let names: Vec<_> = images.iter().map(|image| image.split(' ').next().unwrap()).collect();
    assert_eq!(names, ["golden:1", "golden:3", "me/other:2"]);
}

/// A dockerd that claims to have the layers of every image, and otherwise does what the test says.
#[derive(Debug)]
struct Fake {
    folder: tempfile::TempDir,
    /// The archives that were sent to be loaded.
    loaded: Arc<Mutex<Vec<Vec<u8>>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behaviour {
    /// Rejects incomplete archives.
    Lies,
    /// Closes the connection in the middle of each archive.
    GoesAway,
    /// Answers with something other than HTTP.
    Babbles,
    /// Sends an endless answer.
    Floods,
    /// Accepts everything and stores nothing.
    Forgets,
    /// Accepts every request and answers none.
    Silent,
    /// Pulls something other than requested.
    PullsAnother,
    /// Has every image that it is asked for by ID, but refuses to name it.
    RefusesName,
    /// Has the loaded image, but under another name.
    LosesName,
    /// Has nothing of what it pulled.
    LosesPulled,
    /// With containerd's store: pulls no blobs, as it has unpacked the layers before.
    PullsNoBlobs,
}

impl Fake {
    fn start(behaviour: Behaviour, image: Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("s")).unwrap();
        let loaded = Arc::new(Mutex::new(Vec::new()));
        let fake = Self { folder, loaded: Arc::clone(&loaded) };
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (image, loaded) = (image.clone(), Arc::clone(&loaded));
                std::thread::spawn(move || {
                    let _ = answer(&stream.unwrap(), behaviour, &image, &loaded);
                });
            }
        });
        fake
    }

    fn reach(&self, mut command: Command) -> Command {
        let socket = format!("unix://{}", self.folder.path().join("s").display());
        command.env("DOCKER_HOST", socket).args(["--engine", "docker"]);
        command
    }
}

fn answer(
    stream: &UnixStream,
    behaviour: Behaviour,
    image: &Value,
    loaded: &Mutex<Vec<Vec<u8>>>,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut input = BufReader::new(stream);
    let mut output = stream;
    loop {
        let head = RequestHead::read(&mut input, None)?;
        if behaviour == Behaviour::Silent {
            continue;
        }
        if behaviour == Behaviour::PullsAnother {
            let request = format!("{} {}", head.method, head.target);
            loaded.lock().unwrap().push(request.into_bytes());
        }
        let path = head.target;
        let mut status = "200 OK";
        let mut body = json!({});
        let id = "sha256:".to_owned() + &"0".repeat(64);
        if path == "/images/json?all=1" {
            body = json!([{"Id": id}]);
        } else if path == format!("/images/{id}/json") {
            body = image.clone();
        } else if path.ends_with("/tag?repo=test&tag=1") && behaviour == Behaviour::RefusesName {
            status = "400 Bad Request";
            body = json!({"message": "no such names"});
        } else if path.starts_with("/images/127.0.0.1:") && behaviour == Behaviour::LosesPulled {
            status = "404 Not Found";
        } else if path == "/info" && behaviour == Behaviour::PullsNoBlobs {
            body = json!({"DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]]});
        } else if path.starts_with("/images/127.0.0.1:") && behaviour == Behaviour::PullsNoBlobs {
            body = json!({"Id": id, "RootFS": {}});
        } else if path.starts_with("/images/sha256:") || path == "/images/test:1/json" {
            let sent = loaded.lock().unwrap().len();
            let has = match behaviour {
                Behaviour::Lies => sent == 2,
                Behaviour::PullsNoBlobs => sent == 1,
                Behaviour::RefusesName => true,
                Behaviour::LosesName => sent > 0 && path != "/images/test:1/json",
                _ => false,
            };
            status = if has { "200 OK" } else { "404 Not Found" };
            body = image.clone();
        } else if path.starts_with("/images/load") {
            if behaviour == Behaviour::GoesAway {
                return Ok(());
            }
            let mut archive = Vec::new();
            Body::chunked(&mut input).read_to_end(&mut archive)?;
            let mut loaded = loaded.lock().unwrap();
            loaded.push(archive);
            if behaviour == Behaviour::Lies && loaded.len() == 1 {
                body = json!({"errorDetail": {}, "error": "open layer.tar: no such file"});
            }
        }
        if behaviour == Behaviour::Babbles {
            output.write_all(b"220 smtp\r\n\r\n")?;
            return Ok(());
        }
        if behaviour == Behaviour::Floods {
            output.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
            loop {
                output.write_all(&[b' '; 4096])?;
            }
        }
        let body = body.to_string();
        let length = body.len();
        write!(output, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}")?;
    }
}

fn small_image() -> (TempStore, PathBuf) {
    let store = TempStore::new();
    let path = format!("/nix/store/{}-small", "1".repeat(32));
    store.write(&format!("{path}/file"), "content");
    let customisation = store.write_customisation_layer(&[0; 1024]);
    let conf = store.write_conf("small", &TempStore::conf(&json!([[path]]), &customisation));
    (store, conf)
}

/// What dockerd reports about the image in an archive.
fn image_in(archive: &[u8]) -> Value {
    let image = crate::support::archive::image(archive);
    let digests = image.layer_digests.iter().map(|digest| format!("sha256:{digest}"));
    let layers: Vec<_> = digests.collect();
    json!({"Id": format!("sha256:{}", image.id), "RootFS": {"Layers": layers}})
}

#[test]
fn a_refused_archive_is_followed_by_the_whole_one() {
    let (store, conf) = small_image();
    let whole = stdout_of(&mut store.nix_image("stream", &conf));
    let fake = Fake::start(Behaviour::Lies, image_in(&whole));
    let output = fake.reach(store.nix_image("load", &conf)).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(
        said.starts_with("loading test:1\nwarning: could not send only the missing layers"),
        "{said}"
    );
    assert!(said.contains("no such file"), "{said}");
    assert!(said.contains("loaded test:1 into docker: 2 of 2 layers"), "{said}");
    let loaded = fake.loaded.lock().unwrap();
    assert_eq!(loaded.len(), 2);
    assert!(loaded[0].len() < whole.len());
    assert!(loaded[1] == whole, "the second archive is not the stream");
}

/// After a load that was interrupted, containerd has snapshots without blobs for an hour.
#[test]
fn an_incomplete_pull_is_followed_by_the_whole_archive() {
    let (store, conf) = small_image();
    let whole = stdout_of(&mut store.nix_image("stream", &conf));
    let start = || Fake::start(Behaviour::PullsNoBlobs, image_in(&whole));
    let fake = start();
    let output = fake.reach(store.nix_image("load", &conf)).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("without the blobs of layers that it had unpacked"), "{said}");
    assert!(said.contains("loaded test:1 into docker: 2 of 2 layers"), "{said}");
    assert!(*fake.loaded.lock().unwrap() == [whole.clone()], "what was sent is not the stream");
    // Whoever asks for a pull gets nothing else.
    let fake = start();
    let said = failure_of(fake.reach(store.nix_image("load", &conf)).args(["--way", "pull"]));
    assert!(said.contains("without the blobs"), "{said}");
    assert!(fake.loaded.lock().unwrap().is_empty(), "{said}");
}

/// An image without its name cannot be found.
#[test]
fn an_image_that_does_not_get_its_name_is_not_loaded() {
    let (store, conf) = small_image();
    let image = image_in(&stdout_of(&mut store.nix_image("stream", &conf)));
    for (behaviour, options, expected, sent) in [
        (Behaviour::RefusesName, &[][..], "to name it `test:1`: dockerd answers 400", 0),
        (Behaviour::LosesName, &[], "has no image test:1 now", 2),
        (Behaviour::LosesPulled, &["--way", "pull"], "does not have it now", 0),
        (Behaviour::LosesName, &["-t", "sha256:1"], "does not accept the name `sha256:1`", 0),
    ] {
        let fake = Fake::start(behaviour, image.clone());
        let said = failure_of(fake.reach(store.nix_image("load", &conf)).args(options));
        assert!(said.contains(expected), "{behaviour:?}: {said}");
        assert!(!said.contains("loaded test:1"), "{behaviour:?}: {said}");
        assert_eq!(fake.loaded.lock().unwrap().len(), sent, "{behaviour:?}: {said}");
    }
}

/// Reading an image may take minutes.
#[test]
fn an_engine_is_looked_for_before_the_image_is_read() {
    let (store, conf) = small_image();
    let path = format!("nix/store/{}-small", "1".repeat(32));
    std::fs::remove_dir_all(store.root().join(path)).unwrap();
    for (engine, expected) in [
        ("docker", "cannot reach dockerd"),
        ("podman", "`podman` is not on PATH"),
        ("containerd", "`ctr` is not on PATH"),
    ] {
        let mut command = store.nix_image("load", &conf);
        command.env("DOCKER_HOST", "unix:///nowhere/s").env("PATH", store.root());
        let said = failure_of(command.args(["--no-cache", "--engine", engine]));
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn a_temporary_name_that_stays_is_only_told() {
    let (store, conf) = small_image();
    let id = crate::support::archive::image(&stdout_of(&mut store.nix_image("stream", &conf))).id;
    let named = store.root().join("named");
    let script = format!(
        "case $1 in pull) echo {id};; untag) echo not known >&2; exit 125;;
        tag) [ -e {0} ] && exit 0; : > {0}; exit 1;; esac",
        named.display()
    );
    let path = with_program(&store.root().join("bin"), "podman", &script);
    let mut command = store.nix_image("load", &conf);
    let output =
        command.env("PATH", path).args(["--engine", "podman", "--import", "off"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(
        said.starts_with("loading test:1\nwarning: the image also keeps a temporary name"),
        "{said}"
    );
    assert!(said.contains("not known") && said.contains("loaded test:1 into podman"), "{said}");
    assert!(!said.contains("whole image"), "{said}");
}

/// podman loses names when several of its processes add some at the same time.
#[test]
fn a_name_that_podman_loses_is_given_again() {
    let (store, conf) = small_image();
    for (needed, succeeds) in [(2, true), (100, false)] {
        let called = store.root().join(format!("called{needed}"));
        let script = format!(
            "case $1 in tag) echo tag >> {0};; image) [ $(wc -l < {0}) -ge {needed} ];; esac",
            called.display()
        );
        let path = with_program(&store.root().join(needed.to_string()), "podman", &script);
        let mut command = store.nix_image("load", &conf);
        command.env("PATH", path).args(["--engine", "podman", "--import", "off"]);
        // Otherwise the whole archive follows, with a warning.
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        let tags = std::fs::read_to_string(&called).unwrap().lines().count();
        assert_eq!(tags >= needed, succeeds, "{said}");
        assert_eq!(said.contains("warning"), !succeeds, "{said}");
    }
}

#[test]
fn what_would_be_the_same_in_another_way_is_not_tried_again() {
    let (store, conf) = small_image();
    let script = "[ $1 = pull ] && echo write /x: no space left on device >&2; exit 1";
    let path = with_program(&store.root().join("bin"), "podman", script);
    let mut command = store.nix_image("load", &conf);
    let said =
        failure_of(command.env("PATH", path).args(["--engine", "podman", "--import", "off"]));
    assert!(said.contains("no space left") && !said.contains("warning"), "{said}");
}

/// Unlike nerdctl, ctr does not support URLs.
#[test]
fn ctr_is_told_of_its_socket_by_a_plain_path() {
    let (store, conf) = small_image();
    let place = |name: &str| store.root().join(name);
    let socket = listen(&place("s"), b"\0\0\0\x04\0\0\0\0\0");
    let script = format!("echo $CONTAINERD_ADDRESS >> {}; exit 1", place("called").display());
    with_program(&place("bin"), "ctr", &script);
    let mut command = store.nix_image("load", &conf);
    command.env("PATH", place("bin")).env("CONTAINERD_ADDRESS", format!("unix://{socket}"));
    failure_of(command.args(["--engine", "containerd", "--import", "off"]));
    let called = std::fs::read_to_string(place("called")).unwrap();
    // Once to pull, once to import.
    assert_eq!(called, format!("{socket}\n{socket}\n"));
}

#[test]
fn an_engine_that_misbehaves_is_an_error() {
    let (store, conf) = small_image();
    for behaviour in
        [Behaviour::GoesAway, Behaviour::Babbles, Behaviour::Floods, Behaviour::Forgets]
    {
        let fake = Fake::start(behaviour, json!({}));
        let output = fake.reach(store.nix_image("load", &conf)).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{behaviour:?}: {said}");
        assert!(said.contains("error: "), "{behaviour:?}: {said}");
        assert!(!said.contains("loaded test:1"), "{behaviour:?}: {said}");
    }
}

#[test]
fn a_silent_engine_is_not_waited_for_without_an_end() {
    let (store, conf) = small_image();
    let fake = Fake::start(Behaviour::Silent, json!({}));
    let mut command = fake.reach(store.nix_image("load", &conf));
    let said = failure_of(command.args(["--timeout", "1"]));
    let socket =
        format!("dockerd at unix://{} has not answered", fake.folder.path().join("s").display());
    assert!(said.contains(&socket), "{said}");
    assert!(said.contains("--timeout"), "{said}");
    // An engine that did not answer is not tried again in another way.
    assert!(!said.contains("warning"), "{said}");
}

#[test]
fn a_command_that_hangs_is_not_waited_for_without_an_end() {
    let (store, conf) = small_image();
    let podman = "case $1 in tag) exit 1;; *) exec sleep 1000; esac";
    let untagged = "case $1 in tag) exec sleep 1000; esac";
    let ctr = "exec sleep 1000";
    let sent = &["--import", "off"][..];
    let containerd = listen(&store.root().join("s"), b"\0\0\0\x04\0\0\0\0\0");
    std::thread::scope(|scope| {
        for (number, engine, program, script, options, hung) in [
            (0, "podman", "podman", podman, sent, "podman pull"),
            (1, "podman", "podman", untagged, sent, "podman tag"),
            (2, "podman", "podman", podman, &["--way", "stream"], "podman load"),
            (3, "containerd", "ctr", ctr, sent, "ctr images pull"),
            (4, "podman", "podman", podman, &[], "podman info"),
        ] {
            let folder = store.root().join(number.to_string());
            let path = with_program(&folder, program, script);
            let mut command = store.nix_image("load", &conf);
            command.env("PATH", path).args(["--engine", engine, "--timeout", "1"]).args(options);
            command.env("CONTAINERD_ADDRESS", &containerd);
            scope.spawn(move || {
                let said = failure_of(&mut command);
                assert!(said.contains(hung) && said.contains("for 10 s"), "{said}");
                assert!(said.contains("--timeout"), "{said}");
                assert!(!said.contains("warning"), "{said}");
            });
        }
    });
}

/// Engines get a temporary directory with their configuration for a pull.
#[test]
fn a_load_that_a_signal_ends_leaves_nothing_in_tmpdir() {
    let (store, conf) = small_image();
    let containerd = listen(&store.root().join("s"), b"\0\0\0\x04\0\0\0\0\0");
    let cases = [
        ("podman", "podman", &[Signal::INT][..]),
        ("containerd", "ctr", &[Signal::TERM]),
        ("podman", "podman", &[Signal::HUP]),
        // A signal that was ignored from the start, as by nohup, stays ignored.
        ("containerd", "ctr", &[Signal::HUP, Signal::INT]),
    ];
    for (number, (engine, program, signals)) in cases.into_iter().enumerate() {
        let folder = store.root().join(number.to_string());
        let (pulling, tmpdir) = (folder.join("pulling"), folder.join("tmp"));
        let started =
            format!("echo $$ > {0}.new; mv {0}.new {0}; exec sleep 1000", pulling.display());
        // podman leaves what it has pulled so far behind.
        let left = "if [ $0 != ${0%podman} ]; then echo > $TMPDIR/storage1; fi";
        let script = format!("case \"$*\" in *pull*) {left}; {started};; *) exit 1;; esac");
        let path = with_program(&folder, program, &script);
        std::fs::create_dir(&tmpdir).unwrap();
        let load = store.nix_image("load", &conf);
        let mut command = Command::new("sh");
        let ignored = if signals.len() > 1 { "trap '' HUP; " } else { "" };
        command.args(["-c", &format!("{ignored}exec \"$@\""), "sh"]);
        command.arg(load.get_program()).args(load.get_args());
        command.envs(load.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.args(["--engine", engine, "--import", "off"]);
        command.env("PATH", path).env("TMPDIR", &tmpdir).env("CONTAINERD_ADDRESS", &containerd);
        let mut load = command.stderr(Stdio::null()).spawn().unwrap();
        while !pulling.exists() {
            assert!(load.try_wait().unwrap().is_none(), "{engine} was not asked to pull");
            std::thread::yield_now();
        }
        let entries = || std::fs::read_dir(&tmpdir).unwrap().count();
        assert_eq!(entries(), 1, "{engine}");
        for &signal in signals {
            rustix::process::kill_process(Pid::from_child(&load), signal).unwrap();
        }
        let status = load.wait().unwrap();
        let pulling = std::fs::read_to_string(&pulling).unwrap().trim().parse().unwrap();
        // The engine's command may have ended by itself.
        let _ = rustix::process::kill_process(Pid::from_raw(pulling).unwrap(), Signal::KILL);
        assert_eq!(status.signal(), signals.last().map(|signal| signal.as_raw()), "{engine}");
        assert_eq!(entries(), 0, "{engine}");
    }
}

/// A socket that sends every client the same bytes.
fn listen(path: &Path, answer: &'static [u8]) -> String {
    let listener = UnixListener::bind(path).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            // A client that does not wait is already gone.
            let _ = stream.read(&mut [0; 1024]).and_then(|_| stream.write_all(answer));
        }
    });
    path.display().to_string()
}

/// A PATH where a script comes first.
fn with_program(folder: &Path, name: &str, script: &str) -> String {
    std::fs::create_dir(folder).unwrap();
    with_script(&folder.join(name), script);
    format!("{}:{}", folder.display(), std::env::var("PATH").unwrap())
}

fn with_script(program: &Path, script: &str) {
    std::fs::write(program, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(program, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// The default location of dockerd's socket.
const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// A docker configuration whose context leads to a socket, for commands that name no other.
fn docker_config(folder: &Path, socket: &Path) -> PathBuf {
    let config = folder.join("docker");
    let id = crate::support::sha256(b"here");
    let meta = config.join("contexts/meta").join(id);
    std::fs::create_dir_all(&meta).unwrap();
    let host = format!("unix://{}", socket.display());
    let text = json!({"Name": "here", "Endpoints": {"docker": {"Host": host}}}).to_string();
    std::fs::write(meta.join("meta.json"), text).unwrap();
    let text = json!({"currentContext": "here"}).to_string();
    std::fs::write(config.join("config.json"), text).unwrap();
    config
}

/// `load` without `--engine`, with only these programs on PATH, and possibly as another user.
fn load_anywhere(store: &TempStore, conf: &Path, programs: &[&str], nobody: bool) -> Command {
    let bin = store.root().join("only");
    let _ = std::fs::remove_dir_all(&bin);
    std::fs::create_dir(&bin).unwrap();
    for program in programs {
        let script = format!("echo \"$@\" >> {}/called", store.root().display());
        with_script(&bin.join(program), &script);
    }
    let load = store.nix_image("load", conf);
    let mut command = Command::new(if nobody { "setpriv" } else { NIX_IMAGE });
    if nobody {
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", NIX_IMAGE]);
    }
    command.args(load.get_args()).args(["--no-cache", "--import", "off"]).env("PATH", bin);
    for name in ["DOCKER_HOST", "DOCKER_CONTEXT", "CONTAINERD_ADDRESS", "HOME"] {
        command.env_remove(name);
    }
    command.env("DOCKER_CONFIG", store.root().join("docker"));
    command
}

#[test]
fn the_choice_of_an_engine_is_made_once_and_explained() {
    let (store, conf) = small_image();
    let called = store.root().join("called");
    if Path::new(DEFAULT_SOCKET).exists() {
        cannot_run("a dockerd is where it usually is");
    }
    for (programs, explained) in [(&["podman"][..], false), (&["podman", "docker"], true)] {
        let output = load_anywhere(&store, &conf, programs, false).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        assert!(said.contains("loaded test:1 into podman: 0 of 2 layers"), "{said}");
        let why = format!("warning: dockerd's socket `{DEFAULT_SOCKET}` does not exist");
        assert_eq!(said.contains(&why), explained, "{said}");
        assert!(std::fs::read_to_string(&called).unwrap().starts_with("tag "));
        std::fs::remove_file(&called).unwrap();
    }
}

/// Otherwise the image would end up in an engine where the user does not expect it.
#[test]
fn a_dockerd_that_does_not_answer_is_not_passed_over() {
    let (store, conf) = small_image();
    let socket = store.root().join("docker.sock");
    // One that the configuration names, but that does not exist.
    docker_config(store.root(), &socket);
    let said = failure_of(&mut load_anywhere(&store, &conf, &["podman"], false));
    assert!(said.contains("cannot reach dockerd at") && said.contains("--engine podman"), "{said}");
    // One on which nothing listens any longer.
    drop(UnixListener::bind(&socket).unwrap());
    let said = failure_of(&mut load_anywhere(&store, &conf, &["podman", "docker"], false));
    assert!(said.contains("cannot reach dockerd at") && said.contains("--engine podman"), "{said}");
    assert!(said.contains("Connection refused"), "{said}");
    assert!(!store.root().join("called").exists(), "another engine was tried");
}

#[test]
fn a_dockerd_that_the_user_may_not_use_is_not_passed_over() {
    need("setpriv");
    need_root("run a program as someone else");
    let (store, conf) = small_image();
    let socket = store.root().join("docker.sock");
    docker_config(store.root(), &socket);
    let _listener = UnixListener::bind(&socket).unwrap();
    let mode = |mode| std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(&socket, mode(0o660)).unwrap();
    std::fs::set_permissions(store.root(), mode(0o777)).unwrap();
    let mut command = load_anywhere(&store, &conf, &["podman", "docker"], true);
    let mut with_podman = store.root().join("only").into_os_string();
    with_podman.push(":");
    with_podman.push(std::env::var_os("PATH").unwrap());
    let said = failure_of(command.env("PATH", with_podman));
    assert!(said.contains("docker group") && said.contains("--engine podman"), "{said}");
    assert!(said.contains(&*socket.to_string_lossy()), "{said}");
    assert!(said.contains("Permission denied"), "{said}");
    assert!(!store.root().join("called").exists(), "another engine was tried");
}

/// What the docker command reports if it cannot connect.
#[test]
fn failures_of_ssh_and_tls_are_told_as_such() {
    let (store, conf) = small_image();
    let complaint = "ssh: Could not resolve hostname far";
    for (number, script) in [
        format!("echo '{complaint}' >&2; exit 255"),
        // Its standard error stays open, but its input is closed before it reads a request.
        format!(
            "sleep 20 >/dev/null & exec 0<&- 1>&-; sleep 0.3; echo '{complaint}' >&2; exit 255"
        ),
    ]
    .iter()
    .enumerate()
    {
        let path = with_program(&store.root().join(number.to_string()), "docker", script);
        let mut command = store.nix_image("load", &conf);
        command.env("PATH", path).env("DOCKER_HOST", "ssh://far").args(["--engine", "docker"]);
        let said = failure_of(&mut command);
        assert!(said.starts_with("error: cannot reach dockerd at ssh://far"), "{said}");
        assert!(said.contains(complaint), "{said}");
        assert!(!said.contains("archive") && !said.contains("missing layers"), "{said}");
        assert_eq!(said.matches(complaint).count(), 1, "{said}");
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 1024]).unwrap();
            let answer =
                "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    let mut command = store.nix_image("load", &conf);
    command.env("DOCKER_HOST", format!("tcp://{address}")).args(["--engine", "docker"]);
    let said = failure_of(&mut command);
    assert!(said.starts_with("error: cannot reach dockerd at tcp://"), "{said}");
    assert!(said.contains("HTTPS") && said.contains("DOCKER_TLS_VERIFY"), "{said}");
}

/// ctr waits ten seconds for a socket on which nothing listens, and twice that with two attempts.
#[test]
fn a_wrong_socket_of_containerd_is_an_error_at_once() {
    let (store, conf) = small_image();
    let place = |name: &str| store.root().join(name);
    let called = place("called");
    with_program(&place("bin"), "ctr", &format!(": > {}", called.display()));
    drop(UnixListener::bind(place("stale")).unwrap());
    let docker = listen(&place("docker"), b"HTTP/1.1 400 Bad Request\r\n\r\n");
    for (socket, expected) in [
        ("/nowhere/s".to_owned(), "No such file"),
        (format!("unix://{}", place("stale").display()), "Connection refused"),
        (docker, "is not containerd"),
    ] {
        let mut command = store.nix_image("load", &conf);
        command.env("PATH", place("bin")).env("CONTAINERD_ADDRESS", &socket);
        let said = failure_of(command.args(["--engine", "containerd", "--import", "off"]));
        let plain = socket.trim_start_matches("unix://");
        assert!(said.contains(&format!("cannot reach containerd at `{plain}`")), "{said}");
        assert!(said.contains(expected) && said.contains("CONTAINERD_ADDRESS"), "{said}");
        assert!(!called.exists(), "{socket}: ctr was run");
    }
}

/// Any user of the machine can connect to the registry that an engine pulls from, and read the
/// arguments of every command.
#[test]
fn others_cannot_find_the_image_in_the_registry_of_a_load() {
    let (store, conf) = small_image();
    // Prints its arguments, and waits until they have been read.
    let shown = store.root().join("shown");
    let script = format!(
        "case $1 in pull) ;; *) exit 1;; esac
        echo \"$@\" > {0}.new; ls -ld $(dirname $CONTAINERS_REGISTRIES_CONF) >> {0}.new
        cat $CONTAINERS_REGISTRIES_CONF >> {0}.new; mv {0}.new {0}
        while [ -e {0} ]; do sleep 0.05; done; exit 1",
        shown.display()
    );
    let path = with_program(&store.root().join("bin"), "podman", &script);
    let (mut secrets, mut tags) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        let mut command = store.nix_image("load", &conf);
        command.env("PATH", &path).args(["--engine", "podman", "--way", "pull"]);
        let mut child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
        let text = loop {
            if let Ok(text) = std::fs::read_to_string(&shown) {
                break text;
            }
            assert!(child.try_wait().unwrap().is_none(), "podman was not called");
            std::thread::sleep(std::time::Duration::from_millis(20));
        };
        let mut lines = text.lines();
        let (arguments, folder) = (lines.next().unwrap(), lines.next().unwrap());
        assert!(folder.starts_with("drwx------"), "{folder}");
        let location = text.split("location = \"").nth(1).unwrap().split('"').next().unwrap();
        let (address, secret) = location.split_once('/').unwrap();
        assert!(secret.len() == 32 && secret.bytes().all(|b| b.is_ascii_hexdigit()), "{secret}");
        assert!(!arguments.contains(secret) && !arguments.contains(address), "{arguments}");
        let tag = arguments.rsplit_once(':').unwrap().1;
        let status = |path: &str| {
            let mut stream = std::net::TcpStream::connect(address).unwrap();
            write!(stream, "GET {path} HTTP/1.1\r\nConnection: close\r\n\r\n").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert!(!answer.contains(secret), "{path}: {answer}");
            answer.split(' ').nth(1).unwrap().to_owned()
        };
        assert_eq!(status("/v2/"), "200");
        assert_eq!(status(&format!("/v2/{secret}/load/manifests/{tag}")), "200");
        for hidden in [
            "/v2/_catalog".to_owned(),
            "/v2/_catalog?n=1000".into(),
            format!("/v2/{secret}/load/tags/list"),
            format!("/v2/load/manifests/{tag}"),
            format!("/v2/nix-image/load/manifests/{tag}"),
            format!("/v2/{}/load/manifests/{tag}", "0".repeat(32)),
            "/".into(),
        ] {
            assert_eq!(status(&hidden), "404", "{hidden}");
        }
        secrets.push(secret.to_owned());
        tags.push(tag.to_owned());
        std::fs::remove_file(&shown).unwrap();
        child.wait().unwrap();
    }
    assert_ne!(secrets[0], secrets[1]);
    // One load must not remove the name by which another one pulls.
    assert_ne!(tags[0], tags[1]);
}

/// The engine may be in another network, or something may be in between.
#[test]
fn an_image_that_is_another_one_gets_no_name() {
    let (store, conf) = small_image();
    // A podman that reports pulling something else.
    let called = store.root().join("called");
    let script = format!(
        "echo $1 >> {}; case $1 in tag) exit 1;; pull) printf '%064d' 7;; esac",
        called.display()
    );
    let path = with_program(&store.root().join("bin"), "podman", &script);
    let mut command = store.nix_image("load", &conf);
    let said =
        failure_of(command.env("PATH", path).args(["--engine", "podman", "--import", "off"]));
    assert!(said.contains("podman pulled the image") && !said.contains("warning"), "{said}");
    let calls = std::fs::read_to_string(&called).unwrap();
    assert_eq!(calls.split_whitespace().collect::<Vec<_>>(), ["tag", "pull", "untag"]);
    let fake = Fake::start(Behaviour::PullsAnother, json!({}));
    let mut command = fake.reach(store.nix_image("load", &conf));
    let said = failure_of(command.args(["--way", "pull"]));
    assert!(said.contains("dockerd pulled the image"), "{said}");
    let requests = fake.loaded.lock().unwrap().concat();
    let requests = String::from_utf8(requests).unwrap();
    assert!(requests.contains("POST /images/create") && requests.contains("DELETE "), "{requests}");
    assert!(!requests.contains("/tag?"), "{requests}");
}

/// A ctr that pulls what already exists.
#[test]
fn an_image_that_containerd_really_got_and_is_another_one_gets_no_name() {
    let engine = engines::containerd();
    let (store, conf) = small_image();
    let mut other = engine.reach(store.nix_image("load", &conf));
    load({
        other.args(["--engine", "containerd", "--import", "off", "-t", "other:1"]);
        other
    });
    let before = engine.images();
    store.write(&format!("/nix/store/{}-small/file", "1".repeat(32)), "changed");
    let ctr = std::env::split_paths(&std::env::var_os("PATH").unwrap())
        .map(|folder| folder.join("ctr"))
        .find(|file| file.is_file())
        .unwrap();
    let script = format!(
        "if [ \"$2\" = pull ]; then
            for source; do :; done; exec {0} images tag docker.io/library/other:1 $source
        fi; exec {0} \"$@\"",
        ctr.display()
    );
    let wrapped = store.root().join("wrapped");
    with_program(&wrapped, "ctr", &script);
    let mut command = engine.reach(store.nix_image("load", &conf));
    let said = failure_of(command.env("PATH", wrapped).args([
        "--engine",
        "containerd",
        "--import",
        "off",
    ]));
    assert!(said.contains("containerd pulled the image") && !said.contains("warning"), "{said}");
    assert_eq!(engine.images(), before, "{said}");
    let loaded = load({
        let mut command = engine.reach(store.nix_image("load", &conf));
        command.args(["--engine", "containerd", "--import", "off"]);
        command
    });
    assert!(loaded.contains("1 of 2 layers"), "{loaded}");
}

/// The docker command forwards its connection, here back to this machine.
#[test]
fn dockerd_is_reached_by_ssh() {
    let engine = engines::docker();
    let (store, conf) = small_image();
    // Like the real one, it passes the words to a shell.
    let script =
        "while [ \"$1\" != far ]; do shift; done; shift; DOCKER_HOST=$NEAR exec sh -c \"$*\"";
    let path = with_program(&store.root().join("bin"), "ssh", script);
    let near = engine.command("docker", &[]);
    let near = near.get_envs().find(|(name, _)| *name == "DOCKER_HOST").unwrap().1.unwrap();
    for (name, sent) in [("far", 2), ("far:2", 0)] {
        let mut command = store.nix_image("load", &conf);
        command.envs([
            ("NEAR", near),
            ("DOCKER_HOST", "ssh://far".as_ref()),
            ("PATH", path.as_ref()),
        ]);
        let said = load({
            command.args(["--engine", "docker", "--timeout", "3", "-t", name]);
            command
        });
        let full = if name == "far" { "far:latest" } else { name };
        assert!(
            said.starts_with(&format!(
                "loaded {full} into docker at ssh://far: {sent} of 2 layers, "
            )),
            "{said}"
        );
    }
    let names: Vec<_> = engine.images();
    assert!(names.iter().any(|image| image.starts_with("far:latest ")), "{names:?}");
}

#[test]
fn where_there_is_no_engine_the_remedy_is_named() {
    let (store, conf) = small_image();
    let empty = store.root().join("empty");
    std::fs::create_dir(&empty).unwrap();
    for (variables, engine, expected) in [
        (&[("DOCKER_HOST", "unix:///nowhere/s")][..], "docker", "DOCKER_HOST"),
        (&[("DOCKER_HOST", "tcp://127.0.0.1:1")], "docker", "127.0.0.1:1"),
        (&[("DOCKER_HOST", "ssh://far")], "docker", "without it, run `nix-image stream CONF"),
        (&[("DOCKER_HOST", "nonsense")], "docker", "expected unix:///PATH"),
        (&[("DOCKER_CONTEXT", "none"), ("DOCKER_CONFIG", "/nowhere")], "docker", "none"),
        (&[], "podman", "`podman` is not on PATH"),
        (&[], "containerd", "`ctr` is not on PATH"),
        (&[("DOCKER_CONFIG", "/nowhere/s")], "auto", "found no container engine"),
        (&[("DOCKER_CONTEXT", "none"), ("DOCKER_CONFIG", "/nowhere")], "auto", "none"),
        (&[("DOCKER_HOST", "unix:///nowhere/s")], "auto", "--engine podman"),
    ] {
        let mut command = store.nix_image("load", &conf);
        command.env_remove("DOCKER_HOST").env("PATH", &empty).args(["--engine", engine]);
        command.envs(variables.iter().copied());
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{variables:?}: {said}");
        assert!(said.contains(expected), "{variables:?}: {said}");
    }
    assert!(Path::new(NIX_IMAGE).exists());
}
