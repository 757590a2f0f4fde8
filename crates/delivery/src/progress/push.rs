//! What a push says: layers that are done, bytes that were sent and how fast.

use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use indicatif::ProgressBar;

use super::{Bytes, write_line};

const BAR: &str = "[{bar:30}] {pos}/{len} layers, {msg}";

/// Tells how far a push is.
#[derive(Debug)]
pub struct PushProgress {
    bar: Option<ProgressBar>,
    start: Instant,
    layers: AtomicUsize,
    done: AtomicUsize,
    sent: AtomicU64,
}

impl PushProgress {
    /// A bar where standard error is a terminal, otherwise lines.
    pub fn new() -> Self {
        Self {
            bar: super::bar(BAR),
            start: Instant::now(),
            layers: AtomicUsize::new(0),
            done: AtomicUsize::new(0),
            sent: AtomicU64::new(0),
        }
    }

    /// So many layers are to come.
    pub fn start(&self, layers: usize) {
        self.layers.store(layers, Ordering::Relaxed);
        self.done.store(0, Ordering::Relaxed);
        if let Some(bar) = &self.bar {
            bar.set_position(0);
            bar.set_length(layers as u64);
            bar.set_message("looking for what is there");
        }
    }

    /// A layer is there already.
    pub fn found(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
    }

    /// A layer was made, and so many bytes of it sent.
    pub fn made(&self, layer: usize, sent: u64) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        match &self.bar {
            Some(bar) => bar.inc(1),
            None if sent == 0 => {}
            None => {
                let (layer, layers) = (layer + 1, self.layers.load(Ordering::Relaxed));
                let sent = Bytes(sent);
                write_line(&format!("Pushed layer {layer}, {sent}; {done} of {layers} are there"));
            }
        }
    }

    /// So many more bytes were sent.
    pub fn sent(&self, bytes: u64) {
        let sent = self.sent.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if let Some(bar) = &self.bar {
            let milliseconds = self.start.elapsed().as_millis().max(1) as u64;
            let rate = Bytes(sent.saturating_mul(1000) / milliseconds);
            bar.set_message(format!("{} sent, {rate}/s", Bytes(sent)));
        }
    }

    /// Counts what is read as sent.
    pub fn count<'a, R: Read + 'a>(&'a self, reader: R) -> impl Read + 'a {
        Counted { progress: self, reader }
    }

    /// The push has ended.
    pub fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// Says that something is odd and yet no error.
    pub fn warn(&self, warning: &str) {
        super::warn(self.bar.as_ref(), warning);
    }
}

impl Default for PushProgress {
    fn default() -> Self {
        Self::new()
    }
}

struct Counted<'a, R> {
    progress: &'a PushProgress,
    reader: R,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.reader.read(buffer)?;
        self.progress.sent(bytes as u64);
        Ok(bytes)
    }
}
