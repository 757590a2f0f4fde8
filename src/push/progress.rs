//! What a push says on standard error while it goes on: a bar on a terminal, otherwise lines.

use std::io::{self, IsTerminal as _, Read, Write as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use indicatif::{DecimalBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};

const BAR: &str = "{msg:>16} [{bar:30}] {pos}/{len} layers";
const STEADY: Duration = Duration::from_millis(100);

/// Tells how far a push is.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    layers: AtomicUsize,
    sent: AtomicUsize,
}

impl Progress {
    /// A bar where standard error is a terminal, otherwise lines.
    pub fn new() -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
            let style =
                ProgressStyle::with_template(BAR).unwrap_or_else(|_| ProgressStyle::default_bar());
            bar.set_style(style.progress_chars("=> "));
            bar.enable_steady_tick(STEADY);
            bar
        });
        Self { bar, layers: AtomicUsize::new(0), sent: AtomicUsize::new(0) }
    }

    /// So many layers are to come.
    pub(super) fn start(&self, layers: usize) {
        self.layers.store(layers, Ordering::Relaxed);
        self.sent.store(0, Ordering::Relaxed);
        if let Some(bar) = &self.bar {
            bar.set_position(0);
            bar.set_length(layers as u64);
            bar.set_message("looking");
        }
    }

    /// A layer is there already.
    pub(super) fn found(&self) {
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
    }

    /// A layer was made, and so many bytes of it sent.
    pub(super) fn made(&self, layer: usize, sent: u64) {
        match &self.bar {
            Some(bar) => bar.inc(1),
            None if sent == 0 => {}
            None => {
                let layers = self.layers.load(Ordering::Relaxed);
                line(&format!("Pushed layer {} of {layers}, {}", layer + 1, DecimalBytes(sent)));
            }
        }
    }

    /// So many more bytes were sent.
    pub(super) fn sent(&self, bytes: u64) {
        let before = self.sent.fetch_add(bytes as usize, Ordering::Relaxed);
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{} sent", DecimalBytes(before as u64 + bytes)));
        }
    }

    /// Counts what is read as sent.
    pub(super) fn count<'a, R: Read>(&'a self, reader: &'a mut R) -> impl Read + 'a {
        Counted { progress: self, reader }
    }

    /// The push has ended.
    pub(super) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// Says that something is odd and yet no error.
    pub fn warn(&self, warning: &str) {
        let text = format!("warning: {warning}");
        match &self.bar {
            Some(bar) => bar.suspend(|| line(&text)),
            None => line(&text),
        }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

struct Counted<'a, R> {
    progress: &'a Progress,
    reader: &'a mut R,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.reader.read(buffer)?;
        self.progress.sent(bytes as u64);
        Ok(bytes)
    }
}

/// Nobody need listen.
fn line(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}
