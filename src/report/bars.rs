//! Bars on a terminal.

use std::io::{self, IsTerminal as _};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use delivery::{Observer, Step};
use image::{Image, Layer};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::bytes::Bytes;
use super::{Outcome, Report, write_line, write_note, write_warning};

const STEADY: Duration = Duration::from_millis(100);

/// A bar of this look; `None` where standard error is not a terminal.
fn draw(template: &str) -> Option<ProgressBar> {
    io::stderr().is_terminal().then(|| {
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
        let style =
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style.progress_chars("=> "));
        bar.enable_steady_tick(STEADY);
        bar
    })
}

/// Shows bytes, rate and time left.
#[derive(Debug)]
pub(super) struct ByteBar {
    bar: ProgressBar,
    layers: AtomicUsize,
    verbose: bool,
}

impl ByteBar {
    const LOOK: &str =
        "{msg:>16} [{bar:30}] {bytes}/{total_bytes} {binary_bytes_per_sec} {eta} left";

    pub(super) fn new(verbose: bool) -> Option<Self> {
        Some(Self { bar: draw(Self::LOOK)?, layers: AtomicUsize::new(0), verbose })
    }
}

impl Observer for ByteBar {
    fn started(&self, images: &[Image]) {
        self.layers.store(images.iter().map(|image| image.layers().len()).sum(), Ordering::Relaxed);
    }

    fn step(&self, step: Step, bytes: Option<u64>) {
        self.bar.set_position(0);
        match bytes {
            Some(bytes) => self.bar.set_length(bytes),
            None => self.bar.unset_length(),
        }
        self.bar.set_message(match step {
            Step::Reading => "reading",
            Step::Sending => "sending",
            Step::Fetching => "fetching",
            Step::Unpacking => "dockerd unpacks",
            Step::Pulling => "the engine pulls",
            Step::Linking => "linking",
        });
    }

    fn layer_started(&self, index: usize, _layer: &Layer, known: u64) {
        self.bar.set_length(known.max(self.bar.position()));
        self.bar.set_message(format!(
            "layer {}/{}",
            index + 1,
            self.layers.load(Ordering::Relaxed)
        ));
    }

    fn bytes_expected(&self, bytes: u64) {
        self.bar.set_length(self.bar.length().unwrap_or(0) + bytes);
    }

    fn bytes(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    fn finished(&self) {
        self.bar.finish_and_clear();
    }

    fn note(&self, note: &str) {
        if self.verbose {
            self.bar.suspend(|| write_note(note));
        }
    }

    fn warn(&self, warning: &str) {
        self.bar.suspend(|| write_warning(warning));
    }
}

impl Report for ByteBar {
    fn conclude(&self, outcome: &dyn Outcome) {
        self.bar.finish_and_clear();
        write_line(&outcome.to_string());
    }
}

/// Shows layers that are done, bytes that were sent and how fast.
#[derive(Debug)]
pub(super) struct LayerBar {
    bar: ProgressBar,
    start: Instant,
    sent: AtomicU64,
}

impl LayerBar {
    const LOOK: &str = "[{bar:30}] {pos}/{len} layers, {msg}";

    pub(super) fn new() -> Option<Self> {
        let bar = draw(Self::LOOK)?;
        Some(Self { bar, start: Instant::now(), sent: AtomicU64::new(0) })
    }
}

impl Observer for LayerBar {
    fn started(&self, images: &[Image]) {
        let layers: usize = images.iter().map(|image| image.layers().len()).sum();
        self.bar.set_position(0);
        self.bar.set_length(layers as u64);
        self.bar.set_message("looking for what is there");
    }

    fn layer_found(&self, _index: usize) {
        self.bar.inc(1);
    }

    fn layer_done(&self, _index: usize, _layer: &Layer, _sent: u64) {
        self.bar.inc(1);
    }

    fn bytes(&self, bytes: u64) {
        let sent = self.sent.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let milliseconds = self.start.elapsed().as_millis().max(1) as u64;
        let rate = Bytes(sent.saturating_mul(1000) / milliseconds);
        self.bar.set_message(format!("{} sent, {rate}/s", Bytes(sent)));
    }

    fn finished(&self) {
        self.bar.finish_and_clear();
    }

    fn warn(&self, warning: &str) {
        self.bar.suspend(|| write_warning(warning));
    }
}

impl Report for LayerBar {}
