//! What commands report: their progress and their outcome.
//!
//! A [`Report`] is told what happens, as a [`delivery::Observer`]. Some events are printed at once,
//! line by line. [`Activity`] keeps track of the current activity, which a bar, or a line every ten
//! seconds, displays. With `--json`, results go to standard output; everything else goes to
//! standard error.

mod activity;
mod bar;
mod extent;
mod heartbeat;
mod json;
mod layout;
mod lines;
mod outcome;
mod say;
mod sentences;
mod style;
mod units;

use std::fmt;
use std::io::{self, Write as _};
use std::sync::Arc;

use anyhow::Context as _;
use delivery::{Observer, Step};
use image::{Image, Layer, Meter};
use serde::Serialize;

use activity::Activity;
use bar::Bar;
pub(crate) use bar::stdout_columns;
use heartbeat::Heartbeat;
use json::Json;
#[cfg(feature = "serve")]
pub(crate) use outcome::Serving;
pub(crate) use outcome::{Archived, Delivered, Done, Means};
use style::Log;
pub(crate) use style::Style;
pub(crate) use units::{Bytes, Seconds, count};

/// How the user wants progress to be reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Progress {
    /// A bar if standard error is a terminal, otherwise lines for a log
    #[default]
    Auto,
    /// A bar; without a terminal, only the outcome
    Bar,
    /// A line for each layer or step
    Lines,
    /// A JSON object on each line
    Json,
    /// Only warnings and errors
    None,
}

/// What to report to the user.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mode {
    pub(crate) progress: Progress,
    /// Whether to explain choices.
    pub(crate) verbose: bool,
    /// Whether to print results on standard output as JSON.
    pub(crate) json: bool,
}

/// Reports a command's progress and outcome to the user.
#[derive(Debug)]
pub(crate) struct Report {
    mode: Mode,
    activity: Arc<Activity>,
    /// Receives events that are printed at once.
    voice: Box<dyn Observer>,
    display: Display,
    /// Whether to print lines when the command begins and ends.
    says_start: bool,
    says_end: bool,
}

/// Displays the activity periodically.
#[derive(Debug)]
enum Display {
    Nothing,
    Lines { _heartbeat: Heartbeat },
    Bar(Bar),
}

/// Creates the report that the user chose, in the style of the command.
pub(crate) fn new(mode: Mode, style: Style) -> Report {
    let activity = Arc::new(Activity::new(style));
    let bar = || match mode.progress {
        Progress::Auto | Progress::Bar => Bar::start(&activity),
        Progress::Lines | Progress::Json | Progress::None => None,
    };
    let lines = || Display::Lines { _heartbeat: Heartbeat::start(&activity) };
    let (voice, display): (Box<dyn Observer>, _) = match (mode.progress, bar()) {
        (_, Some(bar)) => (Box::new(()), Display::Bar(bar)),
        (Progress::Json, None) => (Box::new(Json::new()), Display::Nothing),
        (Progress::None | Progress::Bar, None) => (Box::new(()), Display::Nothing),
        (Progress::Auto, None) if style.log == Log::Ends => (Box::new(()), lines()),
        (Progress::Auto | Progress::Lines, None) => (style.lines(), lines()),
    };
    let says_start = matches!(display, Display::Lines { .. });
    // nixpkgs' sentences already announce the end.
    let says_end = match mode.progress {
        Progress::Json | Progress::None => false,
        _ if says_start && style.log == Log::Sentences => false,
        _ => !mode.json,
    };
    Report { mode, activity, voice, display, says_start, says_end }
}

impl Report {
    /// Logs what the command is about to do.
    pub(crate) fn begin(&self, what: &str) {
        if self.says_start {
            say::line(what);
        }
    }

    /// Reports the outcome, and prints it as JSON if requested.
    ///
    /// # Errors
    ///
    /// If standard output cannot be written.
    pub(crate) fn conclude(&self, outcome: &(impl fmt::Display + Serialize)) -> anyhow::Result<()> {
        self.activity.end();
        if self.mode.progress == Progress::Json {
            json::write_result(&serde_json::to_value(outcome)?);
        }
        if self.says_end {
            self.pause(|| say::line(&outcome.to_string()));
        }
        if self.mode.json { self.write(&serde_json::to_string(outcome)?) } else { Ok(()) }
    }

    /// Reports in a line how a command ended that has printed its result on standard output.
    pub(crate) fn close(&self, line: &impl fmt::Display) {
        self.activity.end();
        if self.says_end {
            self.pause(|| say::line(&line.to_string()));
        }
    }

    /// Prints a line of data on standard output, unless results are printed there as JSON.
    ///
    /// # Errors
    ///
    /// If standard output cannot be written.
    #[cfg(any(feature = "load", feature = "push", feature = "serve"))]
    pub(crate) fn print(&self, line: &str) -> anyhow::Result<()> {
        if self.mode.json { Ok(()) } else { self.write(line) }
    }

    /// Prints the answer on standard output: the text, or the result as JSON.
    ///
    /// # Errors
    ///
    /// If standard output cannot be written.
    pub(crate) fn answer(
        &self,
        text: &impl fmt::Display,
        result: &impl Serialize,
    ) -> anyhow::Result<()> {
        self.activity.end();
        let result = self.mode.json.then(|| serde_json::to_string(result)).transpose()?;
        let answer = result.unwrap_or_else(|| text.to_string());
        if answer.is_empty() { Ok(()) } else { self.write(&answer) }
    }

    fn write(&self, line: &str) -> anyhow::Result<()> {
        let write = || io::stdout().write_all(format!("{line}\n").as_bytes());
        self.pause(|| write().and_then(|()| io::stdout().flush()))
            .context("writing to standard output")
    }

    /// Runs `then` while any bar is hidden.
    fn pause<T>(&self, then: impl FnOnce() -> T) -> T {
        match &self.display {
            Display::Bar(bar) => bar.pause(then),
            Display::Nothing | Display::Lines { .. } => then(),
        }
    }
}

impl Meter for Report {
    fn will_read(&self, bytes: u64) {
        self.activity.will_read(bytes);
    }

    fn all_announced(&self) {
        self.activity.all_announced();
    }

    fn read(&self, bytes: u64) {
        self.activity.read(bytes);
    }
}

impl Observer for Report {
    fn started(&self, images: &[Image]) {
        self.activity.started(images);
        self.voice.started(images);
    }

    fn step(&self, step: Step, bytes: Option<u64>) {
        self.activity.step(step, bytes);
        self.voice.step(step, bytes);
    }

    fn layer_started(&self, index: usize, layer: &Layer) {
        self.activity.layer_started(index, layer);
        self.voice.layer_started(index, layer);
    }

    fn size_known(&self, bytes: u64, is_final: bool) {
        self.activity.size_known(bytes, is_final);
        self.voice.size_known(bytes, is_final);
    }

    fn layers_missing(&self, bytes: u64) {
        self.activity.layers_missing(bytes);
        self.voice.layers_missing(bytes);
    }

    fn bytes_made(&self, bytes: u64) {
        self.activity.bytes_made(bytes);
        self.voice.bytes_made(bytes);
    }

    fn layer_found(&self, index: usize) {
        self.activity.layer_found(index);
        self.voice.layer_found(index);
    }

    fn layer_done(&self, index: usize, layer: &Layer, sent: u64) {
        self.activity.layer_done(index, layer, sent);
        self.voice.layer_done(index, layer, sent);
    }

    fn bytes_expected(&self, bytes: u64) {
        self.activity.bytes_expected(bytes);
        self.voice.bytes_expected(bytes);
    }

    fn bytes_requested(&self, bytes: u64) {
        self.activity.bytes_requested(bytes);
        self.voice.bytes_requested(bytes);
    }

    fn bytes(&self, bytes: u64) {
        self.activity.bytes(bytes);
        self.voice.bytes(bytes);
    }

    fn documents_started(&self) {
        self.activity.documents_started();
        self.voice.documents_started();
    }

    fn finished(&self) {
        self.activity.finished();
        self.voice.finished();
    }

    fn note(&self, note: &str) {
        self.voice.note(note);
        let is_told = !matches!(self.mode.progress, Progress::Json | Progress::None);
        if self.mode.verbose && is_told {
            self.pause(|| say::note(note));
        }
    }

    fn warn(&self, warning: &str) {
        self.voice.warn(warning);
        if self.mode.progress != Progress::Json {
            self.pause(|| say::warning(warning));
        }
    }
}

/// Reports why a command failed, with a hint.
pub(crate) fn failed(mode: Mode, message: &str, hint: Option<&str>) {
    match mode.progress {
        Progress::Json => json::write_error(message, hint),
        Progress::Auto | Progress::Bar | Progress::Lines | Progress::None => {
            say::error(message, hint);
        }
    }
}
