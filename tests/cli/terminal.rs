//! What differs on a terminal.

use std::io::{Read as _, Write as _};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use rustix::termios::{LocalModes, tcgetattr};

use super::sandbox::Sandbox;
use crate::support::need;
use crate::support::terminal::Terminal;

#[test]
fn no_archive_is_written_to_a_terminal() {
    let sandbox = Sandbox::new();
    let mut shell = sandbox.shell("nix-image stream conf.json --store-root .");
    let output = shell.stdout(Terminal::new(100).program).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "error: the archive is not written to a terminal; redirect it, as with `| docker load` or \
         `> image.tar`\n"
    );
}

#[test]
fn a_password_is_asked_for_and_not_shown() {
    need("setsid");
    let Terminal { shown: mut terminal, program, .. } = Terminal::new(100);
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
