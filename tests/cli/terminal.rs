//! What differs on a terminal.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use super::sandbox::Sandbox;
use crate::support::need;

/// A new terminal: the side that shows what is written to it, and the side of programs.
fn terminal() -> (File, File) {
    let shown = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&shown).unwrap();
    unlockpt(&shown).unwrap();
    let name = ptsname(&shown, Vec::new()).unwrap();
    let program = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
    let size = Winsize { ws_row: 24, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&program, size).unwrap();
    (shown.into(), program.into())
}

/// What a command shows on a terminal that is its standard error.
fn shown(command: &str) -> String {
    let (mut terminal, program) = terminal();
    let sandbox = Sandbox::new();
    let mut shell = sandbox.shell(command);
    shell.env("TERM", "xterm").stdout(Stdio::null()).stderr(program);
    let mut child = shell.spawn().unwrap();
    // Its last writer is gone with the command; reading on is an error then.
    drop(shell);
    let mut shown = Vec::new();
    let _ = terminal.read_to_end(&mut shown);
    assert!(child.wait().unwrap().success());
    String::from_utf8(shown).unwrap()
}

#[test]
fn no_archive_is_written_to_a_terminal() {
    let sandbox = Sandbox::new();
    let (_terminal, program) = terminal();
    let mut shell = sandbox.shell("nix-image stream conf.json --store-root .");
    let output = shell.stdout(program).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "error: the archive is not written to a terminal; redirect it, as with `| docker load` or \
         `> image.tar`\n"
    );
}

#[test]
fn a_terminal_shows_a_bar_unless_something_else_is_asked_for() {
    let stream = "nix-image stream conf.json --store-root . --no-cache --progress";
    for mode in ["auto", "bar"] {
        let shown = shown(&format!("{stream} {mode}"));
        assert!(shown.contains('[') && shown.contains(" left"), "{mode}: {shown:?}");
        assert!(!shown.contains("Creating layer"), "{mode}: {shown:?}");
    }
    let shown_lines = shown(&format!("{stream} lines"));
    assert!(shown_lines.contains("Creating layer 1 from paths:"), "{shown_lines:?}");
    assert!(!shown_lines.contains(" left"), "{shown_lines:?}");
    assert_eq!(shown(&format!("{stream} none")), "");
}

#[test]
fn a_password_is_asked_for_and_not_shown() {
    need("setsid");
    let (mut terminal, program) = terminal();
    let sandbox = Sandbox::new();
    let mut shell = sandbox.shell("exec setsid -c -w nix-image login 127.0.0.1:1");
    let mut child = shell
        .stdin(program.try_clone().unwrap())
        .stdout(Stdio::null())
        .stderr(program)
        .spawn()
        .unwrap();
    drop(shell);
    let mut shown = String::new();
    let mut wait_for = |text: &str, echo: bool, answer: &str| {
        let mut piece = [0; 1000];
        while !shown.contains(text) {
            let bytes = terminal.read(&mut piece).unwrap();
            shown += std::str::from_utf8(&piece[..bytes]).unwrap();
        }
        // The question comes first, then the terminal stops showing what is typed.
        let shows = || tcgetattr(&terminal).unwrap().local_modes.contains(LocalModes::ECHO);
        while shows() != echo {
            thread::sleep(Duration::from_millis(1));
        }
        terminal.write_all(answer.as_bytes()).unwrap();
    };
    wait_for("Username for 127.0.0.1:1: ", true, "me\n");
    wait_for("Password for me at 127.0.0.1:1: ", false, "secret\n");
    let _ = terminal.read_to_string(&mut shown);
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(shown.contains("nothing listens") && !shown.contains("secret"), "{shown:?}");
}
