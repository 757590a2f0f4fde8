//! What a user sees on a terminal while commands run, and after they have ended.

use crate::support::docker_registry::DockerRegistry;
use crate::support::engines::{self, Engine};
use crate::support::terminal::{Session, Terminal};
use crate::support::{NIX_IMAGE, TempStore, command};
use serde_json::json;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const WIDTHS: [u16; 3] = [40, 80, 200];
/// More than fits into a pipe.
const LARGE: usize = 12 << 20;

/// An image of three layers.
fn image() -> (TempStore, PathBuf) {
    let store = TempStore::new();
    let path = |digit: &str, name: &str| format!("/nix/store/{}-{name}", digit.repeat(32));
    let (large, small) = (path("1", "large"), path("2", "small"));
    // Incompressible bytes.
    let mut state = 1_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    store.write(&format!("{large}/file"), (0..LARGE).map(|_| next()).collect::<Vec<_>>());
    store.write(&format!("{small}/file"), "small");
    let customisation = store.write_customisation_layer(&[0; 1024]);
    let conf = TempStore::conf(&json!([[large], [small]]), &customisation);
    let conf = store.write_conf("image", &conf);
    (store, conf)
}

/// A command with an image on an ordinary terminal.
fn on_terminal(store: &TempStore, name: &str, conf: &Path) -> Command {
    let mut command = store.nix_image(name, conf);
    command.env("TERM", "xterm").stdout(Stdio::null());
    for variable in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
        command.env_remove(variable);
    }
    command
}

/// Reads everything that a command writes to its standard output, on a thread.
fn drain(child: &mut Child) {
    if let Some(mut stdout) = child.stdout.take() {
        std::thread::spawn(move || io::copy(&mut stdout, &mut io::sink()));
    }
}

/// Streams the image to a reader that starts once the terminal shows something.
fn watch_stream(columns: u16, arguments: &[&str]) -> Session {
    let (store, conf) = image();
    let mut command = on_terminal(&store, "stream", &conf);
    command.args(arguments).stdout(Stdio::piped());
    Terminal::new(columns).watch(command, |frame, child| {
        if frame.contains("writing layer") && frame.contains(" of 12.6 MB") {
            drain(child);
        }
    })
}

/// The line that reports how a command ended, without the time that it took.
fn without_time(line: &str) -> &str {
    let (line, time) = line.rsplit_once(", ").unwrap();
    assert!(time.ends_with(" s"), "{time}");
    line
}

/// The only line that is left.
fn only_line(lines: &[String]) -> &str {
    let [line] = lines else { panic!("{lines:?}") };
    without_time(line)
}

#[test]
fn a_stream_shows_how_far_it_is() {
    for columns in WIDTHS {
        let session = watch_stream(columns, &["--no-cache"]);
        let line = session.lines();
        assert_eq!(
            only_line(&line),
            "wrote test:1 to standard output: 3 of 3 layers, 12.6 MB of 12.6 MB"
        );
        assert!(session.showed("writing layer 1 of 3"), "{:?}", session.frames);
        let has_bar = session.frames.iter().any(|frame| frame.contains('[') && frame.contains(']'));
        assert_eq!(has_bar, columns > 40, "{:?}", session.frames);
        // Until the end, everything is shown on one line.
        let work = session.frames.iter().filter(|frame| !frame.contains("wrote"));
        for frame in work {
            assert!(frame.lines().count() <= 1, "{columns}: {frame:?}");
        }
    }
}

#[test]
fn written_images_leave_one_line() {
    for columns in WIDTHS {
        let (store, conf) = image();
        for (format, name) in
            [("oci", "layout"), ("oci-archive", "image.tar"), ("docker-archive", "docker.tar")]
        {
            let mut command = on_terminal(&store, "write", &conf);
            command.current_dir(store.root()).args([name, "--format", format]);
            let lines = Terminal::new(columns).lines(command);
            let expected = format!("wrote test:1 to `{name}`: 3 of 3 layers, 12.6 MB of 12.6 MB");
            assert_eq!(only_line(&lines), expected);
        }
        let mut command = on_terminal(&store, "write", &conf);
        command.current_dir(store.root()).args(["layout", "--format", "oci", "-t", "test:2"]);
        let lines = Terminal::new(columns).lines(command);
        assert_eq!(
            only_line(&lines),
            "wrote test:2 to `layout`: 0 of 3 layers, 0 bytes of 12.6 MB"
        );
    }
}

#[test]
fn what_has_a_document_leaves_one_line_too() {
    let (store, conf) = image();
    for columns in WIDTHS {
        let mut command = on_terminal(&store, "inspect", &conf);
        command.current_dir(store.root()).args(["--html", "page.html", "--svg", "picture.svg"]);
        let expected = "inspected test:1: 12.6 MB in 3 layers, 2 store paths; \
                        wrote `picture.svg` and `page.html`";
        assert_eq!(only_line(&Terminal::new(columns).lines(command)), expected);
    }
    let mut quiet = on_terminal(&store, "inspect", &conf);
    quiet.arg("--json");
    assert_eq!(Terminal::new(80).lines(quiet), [""; 0]);
    let mut diff = on_terminal(&store, "diff", &conf);
    diff.current_dir(store.root()).arg(&conf).args(["--svg", "changes.svg"]);
    assert_eq!(Terminal::new(80).lines(diff), ["wrote `changes.svg`"]);
}

#[test]
fn other_archives_leave_one_line() {
    let (store, conf) = image();
    let conf = conf.to_str().unwrap();
    let arguments: [(&[&str], &str); 4] = [
        (&["merge", conf, conf, "-o", "both.tar"], "merged {0}, {0}; wrote 12.6 MB to `both.tar`"),
        (&["merge", conf], "merged {0}; wrote 12.6 MB to standard output"),
        (&["export", conf, "-o", "files.tar"], "exported {0}; wrote 12.6 MB to `files.tar`"),
        (&["export", conf], "exported {0}; wrote 12.6 MB to standard output"),
    ];
    for (arguments, expected) in arguments {
        let run = |quiet: &[&str]| {
            let mut command = command_of(&store, arguments);
            command.arg("--store-root").arg(store.root()).args(quiet);
            command.current_dir(store.root());
            Terminal::new(200).lines(command)
        };
        assert_eq!(only_line(&run(&[])), expected.replace("{0}", conf));
        assert_eq!(run(&["--quiet"]), [""; 0]);
    }
}

fn loads_on_a_terminal(engine: &Engine) {
    let (store, conf) = image();
    for (columns, import, layers) in [(40, "auto", 3), (80, "auto", 0), (80, "off", 0)] {
        let mut command = on_terminal(&store, "load", &conf);
        command.args(["--engine", engine.name, "--import", import]);
        let lines = Terminal::new(columns).lines(engine.reach(command));
        let expected = format!("loaded test:1 into {}: {layers} of 3 layers, ", engine.name);
        assert!(only_line(&lines).starts_with(&expected), "{lines:?}");
    }
    // Sent as a whole.
    let mut command = on_terminal(&store, "load", &conf);
    command.args(["--engine", engine.name, "--way", "stream", "-t", "test:2"]);
    let lines = Terminal::new(80).lines(engine.reach(command));
    let expected = format!("loaded test:2 into {}: 3 of 3 layers, 12.6 MB of 12.6 MB", engine.name);
    assert_eq!(only_line(&lines), expected);
}

#[test]
fn podman_loads_on_a_terminal() {
    loads_on_a_terminal(&engines::podman());
}

#[test]
fn a_pull_says_how_much_it_takes_at_most() {
    let (engine, (store, conf)) = (engines::podman(), image());
    let mut command = on_terminal(&store, "load", &conf);
    command.args(["--engine", "podman", "--import", "off"]);
    let session = Terminal::new(120).watch(engine.reach(command), |_, _| {});
    assert!(session.status.success(), "{}", session.written);
    assert!(session.showed(" of at most 12.6 MB"), "{:?}", session.frames);
    assert!(!session.showed("so far"), "{:?}", session.frames);
}

#[test]
fn containerd_loads_on_a_terminal() {
    loads_on_a_terminal(&engines::containerd());
}

#[test]
fn docker_loads_on_a_terminal() {
    loads_on_a_terminal(&engines::docker());
}

/// Uses a podman that answers once the terminal shows that it was asked.
#[test]
fn a_load_says_whom_it_waits_for() {
    let (store, conf) = image();
    let (folder, seen) = (store.root().join("bin"), store.root().join("seen"));
    fs::create_dir(&folder).unwrap();
    let script =
        format!("#!/bin/sh\nwhile [ ! -e {} ]; do sleep 0.05; done; exit 1\n", seen.display());
    fs::write(folder.join("podman"), script).unwrap();
    fs::set_permissions(folder.join("podman"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let mut command = on_terminal(&store, "load", &conf);
    command.env("PATH", path).args(["--engine", "podman"]);
    let session = Terminal::new(80).watch(command, |frame, _| {
        if frame.contains("asking podman") {
            fs::write(&seen, "").unwrap();
        }
    });
    assert_eq!(session.status.code(), Some(1));
    let lines = session.lines();
    assert!(lines.last().unwrap().starts_with("error: "), "{lines:?}");
}

#[test]
fn pushes_leave_one_line_for_each_repository() {
    let registry = DockerRegistry::start();
    let (store, conf) = image();
    for (columns, repository, options, sent) in [
        (80, "new", &[][..], "3 of 3"),
        (40, "new", &[], "0 of 3"),
        (200, "other", &["--no-cache"], "3 of 3"),
        (200, "another", &[], "0 of 3"),
    ] {
        let name = format!("{}/{repository}:1", registry.address);
        let mut command = on_terminal(&store, "push", &conf);
        command.arg(&name).args(options).env("DOCKER_CONFIG", store.root());
        let lines = Terminal::new(columns).lines(command);
        let expected = format!("pushed {name}: {sent} layers, ");
        assert!(only_line(&lines).starts_with(&expected), "{lines:?}");
    }
}

#[test]
fn stores_say_what_was_done() {
    let (store, conf) = image();
    let images = store.root().join("images");
    let path = images.display();
    let run = |name: &str, arguments: &[&str]| {
        let mut command = command_of(&store, &["store", name]);
        command.arg(&images).args(arguments);
        if name == "add" {
            command.arg("--store-root").arg(store.root());
        }
        Terminal::new(200).lines(command)
    };
    let conf = conf.to_str().unwrap();
    let added = run("add", &[conf, "--import", "copy"]);
    assert_eq!(
        only_line(&added),
        format!("added test:1 to `{path}`: 3 of 3 layers, 12.6 MB copied")
    );
    assert_eq!(only_line(&run("add", &[conf])), format!("test:1 is in `{path}` already"));
    assert_eq!(run("list", &[]), [""; 0]);
    let removed = run("remove", &["test:1"]);
    assert!(
        removed.len() == 1 && removed[0].starts_with("removed localhost/test:1"),
        "{removed:?}"
    );
    assert_eq!(run("gc", &[]), [format!("removed 0 images and 3 layers from `{path}`")]);
}

/// A command without a conf on an ordinary terminal.
fn command_of(store: &TempStore, arguments: &[&str]) -> Command {
    let mut command = command(NIX_IMAGE, arguments);
    command.env("TERM", "xterm").stdout(Stdio::null());
    command.env("XDG_CACHE_HOME", store.root().join("cache"));
    command
}

#[test]
fn caches_say_what_was_removed() {
    let (store, conf) = image();
    Terminal::new(80).lines(on_terminal(&store, "inspect", &conf));
    let collect = command_of(&store, &["cache", "gc", "--max-size", "0"]);
    let lines = Terminal::new(200).lines(collect);
    assert!(lines.len() == 1 && lines[0].starts_with("removed 3 entries, "), "{lines:?}");
}

#[test]
fn a_server_says_where_it_is() {
    let (store, conf) = image();
    let command = on_terminal(&store, "serve", &conf);
    let session = Terminal::new(80).watch(command, |frame, child| {
        if frame.contains("serving") {
            child.kill().unwrap();
        }
    });
    let lines = session.lines();
    assert!(lines.len() == 1 && lines[0].starts_with("serving 127.0.0.1:"), "{lines:?}");
}

#[test]
fn errors_take_the_place_of_the_bar() {
    let (store, conf) = image();
    let file = store.place(&format!("/nix/store/{}-large/file", "1".repeat(32)));
    let mut command = on_terminal(&store, "stream", &conf);
    command.stdout(Stdio::piped());
    let session = Terminal::new(120).watch(command, |frame, child| {
        // By then, it has read part of the file.
        if frame.contains("writing layer 1") && frame.contains(" of 12.6 MB") {
            fs::File::options().write(true).open(&file).unwrap().set_len(1).unwrap();
            drain(child);
        }
    });
    assert_eq!(session.status.code(), Some(1), "{}", session.written);
    let lines = session.lines();
    assert!(lines.len() == 1 && lines[0].starts_with("error: "), "{lines:?}");
}

#[test]
fn an_interrupt_ends_it_and_leaves_the_cursor() {
    let (store, conf) = image();
    let mut command = on_terminal(&store, "stream", &conf);
    command.stdout(Stdio::piped());
    let session = Terminal::new(80).watch(command, |frame, child| {
        if frame.contains("writing layer") {
            let id = rustix::process::Pid::from_child(child);
            rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
        }
    });
    assert_eq!(session.status.signal(), Some(2), "{:?}", session.status);
    assert!(!session.written.contains("\x1b[?25l"), "the cursor was hidden: {:?}", session.written);
}

/// Terminals whose cursor cannot be moved get what a log gets.
#[test]
fn dumb_terminals_get_lines() {
    for term in [Some("dumb"), Some(""), None] {
        let (store, conf) = image();
        let mut command = on_terminal(&store, "write", &conf);
        command.current_dir(store.root()).args(["layout", "--format", "oci"]).env_remove("TERM");
        command.envs(term.map(|term| ("TERM", term)));
        let session = Terminal::new(80).watch(command, |_, _| {});
        assert!(!session.written.contains('\x1b'), "{:?}", session.written);
        let lines = session.lines();
        assert!(lines.len() == 2 && lines[0] == "writing test:1 to `layout`", "{lines:?}");
    }
}

#[test]
fn what_is_shown_is_what_is_asked_for() {
    for mode in ["auto", "bar"] {
        let session = watch_stream(80, &["--progress", mode]);
        assert!(session.showed("writing layer 1 of 3"), "{mode}: {:?}", session.frames);
        assert!(!session.written.contains("Creating layer"), "{mode}");
    }
    let (store, conf) = image();
    let shown = |arguments: &[&str]| {
        let mut command = on_terminal(&store, "stream", &conf);
        command.args(arguments);
        Terminal::new(80).watch(command, |_, _| {}).written
    };
    let lines = shown(&["--progress", "lines"]);
    assert!(lines.contains("Creating layer 1 from paths:") && !lines.contains('\x1b'), "{lines:?}");
    for quiet in [&["--progress", "none"][..], &["-q"], &["--quiet", "-v"]] {
        assert_eq!(shown(quiet), "", "{quiet:?}");
    }
}

/// Whether the text has codes that set colours.
fn has_color(text: &str) -> bool {
    regex::Regex::new(r"\x1b\[[0-9;]*m").unwrap().is_match(text)
}

#[test]
fn colors_are_used_as_is_asked_for() {
    let nowhere = |arguments: &[&str], variables: &[(&str, &str)]| {
        let store = TempStore::new();
        let mut command = on_terminal(&store, "stream", Path::new("nowhere.json"));
        command.args(arguments).envs(variables.iter().copied());
        command
    };
    for (arguments, variables, on_terminal, in_log) in [
        (&[][..], &[][..], true, false),
        (&[], &[("NO_COLOR", "1")], false, false),
        (&[], &[("CLICOLOR", "0")], false, false),
        (&[], &[("CLICOLOR_FORCE", "1")], true, true),
        (&[], &[("TERM", "dumb")], false, false),
        (&["--color", "always"], &[("NO_COLOR", "1")], true, true),
        (&["--color=always"], &[("TERM", "dumb")], true, true),
        (&["--color", "never"], &[("CLICOLOR_FORCE", "1")], false, false),
        (&["--color", "auto"], &[], true, false),
    ] {
        let session = Terminal::new(80).watch(nowhere(arguments, variables), |_, _| {});
        let case = format!("{arguments:?}, {variables:?}: {:?}", session.written);
        assert_eq!(has_color(&session.written), on_terminal, "{case}");
        // clap reports usage errors and prints help.
        for more in [&[][..], &["--wrong"]] {
            let arguments = [arguments, more].concat();
            let output = nowhere(&arguments, variables).output().unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(has_color(&said), in_log, "{case}, in a log: {said:?}");
        }
        let output = nowhere(&[arguments, &["--help"]].concat(), variables);
        let output = { output }.stdout(Stdio::piped()).output().unwrap();
        assert_eq!(has_color(&String::from_utf8(output.stdout).unwrap()), in_log, "{case}, help");
    }
    let bar = watch_stream(80, &["--color", "never"]);
    assert!(!has_color(&bar.written), "{:?}", bar.written);
    assert!(has_color(&watch_stream(80, &[]).written));
}

#[test]
fn notes_are_for_the_verbose() {
    let (store, conf) = image();
    let mut command = on_terminal(&store, "store", Path::new("add"));
    // Into a file system other than the store's.
    if !Path::new("/dev/shm").is_dir() {
        crate::support::skip("/dev/shm does not exist");
    }
    let elsewhere = tempfile::TempDir::with_prefix_in("nix-image-test-", "/dev/shm").unwrap();
    command.arg(elsewhere.path().join("images")).arg(&conf).arg("-v");
    let lines = Terminal::new(200).lines(command);
    assert!(lines.len() == 2 && lines[0].starts_with("note: "), "{lines:?}");
}
