//! Lines on standard error.

use std::io::{self, Write as _};

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const NOTE: Style = AnsiColor::Green.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default().bold();

/// Whether what goes to standard error is coloured: as `--color` says, or else as `NO_COLOR`,
/// `CLICOLOR_FORCE`, `TERM` and the terminal do.
pub(super) fn in_color() -> bool {
    AutoStream::choice(&io::stderr()) != ColorChoice::Never
}

/// Says why a command failed, and what helps.
pub(super) fn error(message: &str, hint: Option<&str>) {
    let hint = hint.map(|hint| format!("\n{}", labelled("hint", HINT, hint)));
    line(&(labelled("error", ERROR, message) + &hint.unwrap_or_default()));
}

/// Says that something is odd, though not an error.
pub(super) fn warning(warning: &str) {
    line(&labelled("warning", WARNING, warning));
}

/// Says why something is not as it might be expected.
pub(super) fn note(note: &str) {
    line(&labelled("note", NOTE, note));
}

fn labelled(label: &str, style: Style, text: &str) -> String {
    if in_color() { format!("{style}{label}:{style:#} {text}") } else { format!("{label}: {text}") }
}

/// Writes a line at once, so that those of several threads do not mix. Standard error may be
/// closed.
pub(super) fn line(line: &str) {
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}
