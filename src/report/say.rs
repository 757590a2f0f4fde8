//! Lines on standard error.

use std::io::{self, Write as _};

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const NOTE: Style = AnsiColor::Green.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default().bold();

/// Whether standard error is coloured: as `--color` says, or else depending on `NO_COLOR`,
/// `CLICOLOR_FORCE`, `TERM` and the terminal.
pub(super) fn in_color() -> bool {
    AutoStream::choice(&io::stderr()) != ColorChoice::Never
}

/// Prints an error, with a hint if there is one.
pub(super) fn error(message: &str, hint: Option<&str>) {
    let hint = hint.map(|hint| format!("\n{}", labelled("hint", HINT, hint)));
    line(&(labelled("error", ERROR, message) + &hint.unwrap_or_default()));
}

/// Prints a warning: something is unusual, but not an error.
pub(super) fn warning(warning: &str) {
    line(&labelled("warning", WARNING, warning));
}

/// Prints a note: why something is not as one might expect.
pub(super) fn note(note: &str) {
    line(&labelled("note", NOTE, note));
}

fn labelled(label: &str, style: Style, text: &str) -> String {
    if in_color() { format!("{style}{label}:{style:#} {text}") } else { format!("{label}: {text}") }
}

/// Writes the whole line at once, so that lines from several threads do not mix. Standard error may
/// be closed.
pub(super) fn line(line: &str) {
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}
