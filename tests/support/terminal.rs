//! A terminal, and what a user sees on it.

use std::fs::File;
use std::io::Read as _;
use std::process::{Child, Command, ExitStatus};

use regex::Regex;
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

const ROWS: u16 = 60;

/// A new terminal.
#[derive(Debug)]
pub(crate) struct Terminal {
    /// The side that shows what is written.
    pub(crate) shown: File,
    /// The programs' side.
    pub(crate) program: File,
    columns: u16,
}

/// What a command showed on a terminal.
pub(crate) struct Session {
    pub(crate) status: ExitStatus,
    /// Everything that was written.
    pub(crate) written: String,
    /// What could be read at each moment: the screen's text before the cursor moved back, and
    /// whenever nothing more was written for a while.
    pub(crate) frames: Vec<String>,
    screen: vt100::Screen,
}

impl Terminal {
    /// A terminal with this many columns.
    pub(crate) fn new(columns: u16) -> Self {
        let shown = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&shown).unwrap();
        unlockpt(&shown).unwrap();
        let name = ptsname(&shown, Vec::new()).unwrap();
        let program = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        let size = Winsize { ws_row: ROWS, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&program, size).unwrap();
        Self { shown: shown.into(), program: program.into(), columns }
    }

    /// Runs a command with the terminal as its standard error. `each` gets what it shows from time
    /// to time.
    pub(crate) fn watch(self, command: Command, mut each: impl FnMut(&str, &mut Child)) -> Session {
        let Self { mut shown, program, columns } = self;
        let mut command = command;
        let mut child = command.stderr(program).spawn().unwrap();
        // The last writer is gone with the command; then reading is an error.
        drop(command);
        let mut parser = vt100::Parser::new(ROWS, columns, 0);
        let (mut written, mut frames) = (Vec::new(), Vec::new());
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = shown.read(&mut buffer) {
            let read = &buffer[..length];
            written.extend_from_slice(read);
            for part in read.split_inclusive(|byte| *byte == b'\r') {
                let (text, back) = part.split_at(part.len() - usize::from(part.ends_with(b"\r")));
                parser.process(text);
                let frame = parser.screen().contents();
                if frames.last() != Some(&frame) {
                    each(&frame, &mut child);
                    frames.push(frame);
                }
                parser.process(back);
            }
        }
        let status = child.wait().unwrap();
        let written = String::from_utf8(written).unwrap();
        Session { status, written, frames, screen: parser.screen().clone() }
    }

    /// The same for a command that must succeed. Returns what is left on the screen at its end.
    pub(crate) fn lines(self, command: Command) -> Vec<String> {
        let session = self.watch(command, |_, _| {});
        assert!(session.status.success(), "{}", session.written);
        session.lines()
    }
}

impl Session {
    /// The lines that are left at the end. Checks that every frame made sense, and that the cursor
    /// is visible at the beginning of a line.
    pub(crate) fn lines(&self) -> Vec<String> {
        let zero = Regex::new(r"(/ ?|\bof )0\b").unwrap();
        for frame in &self.frames {
            assert!(!zero.is_match(frame), "{frame:?} has a total of nothing");
        }
        assert!(!self.screen.hide_cursor(), "the cursor is hidden: {:?}", self.written);
        let contents = self.screen.contents();
        assert_eq!(self.screen.cursor_position().1, 0, "{contents:?}");
        contents.lines().map(|line| line.trim_end().to_owned()).collect()
    }

    /// Whether some frame showed a text.
    pub(crate) fn showed(&self, text: &str) -> bool {
        self.frames.iter().any(|frame| frame.contains(text))
    }
}
