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
        "error: refusing to write the archive to a terminal; redirect it, as with `| docker load` \
         or `> image.tar`\n"
    );
}

const TABLE: &str = "\
app:old
31.7 kB in 4 layers, 3 store paths

LAYER     SIZE                        PATHS  LARGEST
    1  10.2 kB  ████████████████████      1  libc-1.0
    2  10.2 kB  ████████████████████      1  hello-1.0
    3  10.2 kB  ████████████████████      1  app-1.0
    4   1.0 kB  ██                        0  (no store path)

PATH         SIZE  LAYER  CLOSURE  WOULD LEAVE  NEEDED BY
app-1.0    8.2 kB      3  16.9 kB      16.9 kB
libc-1.0   6.7 kB      1   6.7 kB       6.7 kB  app-1.0
hello-1.0  2.0 kB      2   2.0 kB       2.0 kB  app-1.0

Equal files of 4.1 kB or more: storing each once would save 5.0 kB
COPIES    EACH  FIRST
   2 ×  5.0 kB  /nix/store/22222222222222222222222222222222-libc-1.0/lib/libc.so
";

/// What `inspect` shows on a terminal of this width.
fn shown(columns: u16) -> String {
    let Terminal { shown: mut terminal, program, .. } = Terminal::new(columns);
    let sandbox = Sandbox::new();
    let mut shell = sandbox.shell("nix-image inspect old.json --store-root . 2>/dev/null");
    let mut child = shell.stdout(program).spawn().unwrap();
    drop(shell);
    let mut shown = Vec::new();
    let _ = terminal.read_to_end(&mut shown);
    assert!(child.wait().unwrap().success());
    String::from_utf8(shown).unwrap().replace('\r', "")
}

#[test]
fn a_terminal_shows_an_image_as_a_table() {
    assert_eq!(shown(100), TABLE);
}

#[test]
fn a_table_fits_its_terminal() {
    for columns in [40, 50, 60] {
        let shown = shown(columns);
        // Sentences may wrap.
        let mut lines = shown.lines().filter(|line| !line.starts_with("Equal files"));
        let wide = lines.find(|line| line.chars().count() > columns.into());
        assert_eq!(wide, None, "{columns}");
        assert!(
            shown.contains("LAYER     SIZE  ") && shown.contains("PATH         SIZE"),
            "{shown}"
        );
    }
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
        // The prompt is printed before echo is switched off.
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
