//! What commands say on standard error while they work, and how they ended.
//!
//! Each way of saying it is a [`delivery::Observer`] of its own; [`new`] picks one.

mod bars;
mod bytes;
mod json;
mod lines;
mod quiet;
mod sentences;
mod summary;

use std::fmt::Display;
use std::io::{self, Write as _};

use delivery::Observer;
use serde_json::Value;

use bars::{ByteBar, LayerBar};
pub(crate) use bytes::Bytes;
// How the cache shows what it holds.
pub(crate) use indicatif::{BinaryBytes, HumanDuration};
use json::Json;
use lines::Lines;
use quiet::Quiet;
use sentences::Sentences;
#[cfg(feature = "serve")]
pub(crate) use summary::Serving;
pub(crate) use summary::{Deed, Summary};

/// How a command reports, as the user chooses it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Mode {
    /// A bar where standard error is a terminal, otherwise what suits a log
    #[default]
    Auto,
    /// A bar; without a terminal, only how it ended
    Bar,
    /// A line for each layer or step
    Lines,
    /// A JSON object on each line
    Json,
    /// Nothing but warnings and errors
    None,
}

/// How a command's work is best shown.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Style {
    /// By the sentences of nixpkgs' script, or a bar of bytes.
    Sentences,
    /// Layer by layer.
    #[cfg_attr(not(feature = "push"), expect(dead_code, reason = "only push is shown so"))]
    Layers {
        /// What was done to a layer, such as "Pushed".
        verb: &'static str,
    },
    /// By a bar of bytes, or else by nothing until it ends.
    Bytes {
        /// What was done to a layer, where lines are asked for.
        verb: &'static str,
        /// Whether notes are shown.
        verbose: bool,
    },
}

impl Style {
    fn is_verbose(self) -> bool {
        matches!(self, Self::Bytes { verbose: true, .. })
    }
}

/// Who tells the user how a command goes.
pub(crate) trait Report: Observer {
    /// Says what the command has come to.
    fn conclude(&self, outcome: &dyn Outcome) {
        write_line(&outcome.to_string());
    }
}

/// What a command has come to, as a sentence and as JSON.
pub(crate) trait Outcome: Display {
    /// An object with the key `event`.
    fn to_json(&self) -> Value;
}

/// The report that the user chose, in the style that suits the command.
pub(crate) fn new(mode: Mode, style: Style) -> Box<dyn Report> {
    match (mode, style) {
        (Mode::Json, _) => Box::new(Json::new()),
        (Mode::None, _) => Box::new(Quiet { says_outcome: false, verbose: false }),
        (Mode::Lines, _) => lines(style),
        (Mode::Bar, _) | (Mode::Auto, Style::Bytes { .. }) => bar(style)
            .unwrap_or_else(|| Box::new(Quiet { says_outcome: true, verbose: style.is_verbose() })),
        (Mode::Auto, _) => bar(style).unwrap_or_else(|| lines(style)),
    }
}

fn lines(style: Style) -> Box<dyn Report> {
    match style {
        Style::Sentences => Box::new(Sentences),
        Style::Layers { verb } | Style::Bytes { verb, .. } => {
            Box::new(Lines::new(verb, style.is_verbose()))
        }
    }
}

/// A bar; `None` where standard error is not a terminal.
fn bar(style: Style) -> Option<Box<dyn Report>> {
    Some(match style {
        Style::Layers { .. } => Box::new(LayerBar::new()?),
        Style::Sentences | Style::Bytes { .. } => Box::new(ByteBar::new(style.is_verbose())?),
    })
}

/// Says why a command failed.
pub(crate) fn failed(mode: Mode, message: &str) {
    match mode {
        Mode::Json => json::write_error(message),
        Mode::Auto | Mode::Bar | Mode::Lines | Mode::None => {
            write_line(&format!("error: {message}"));
        }
    }
}

/// Says that something is odd and yet no error.
fn write_warning(warning: &str) {
    write_line(&format!("warning: {warning}"));
}

/// Says why something is not as it might be expected.
fn write_note(note: &str) {
    write_line(&format!("note: {note}"));
}

/// Writes a line at once, so that those of several threads do not mix. Nobody need listen.
fn write_line(line: &str) {
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}
