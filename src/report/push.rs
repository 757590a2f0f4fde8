//! What a push says: layers that are done, bytes that were sent and how fast.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use delivery::Observer;
use image::{Image, Layer};
use indicatif::ProgressBar;

use super::{Bytes, write_line};

const BAR: &str = "[{bar:30}] {pos}/{len} layers, {msg}";

/// Tells how far a push is.
#[derive(Debug)]
pub(crate) struct PushProgress {
    bar: Option<ProgressBar>,
    start: Instant,
    layers: AtomicUsize,
    done: AtomicUsize,
    sent: AtomicU64,
}

impl PushProgress {
    /// A bar where standard error is a terminal, otherwise lines.
    pub(crate) fn new() -> Self {
        Self {
            bar: super::bar(BAR),
            start: Instant::now(),
            layers: AtomicUsize::new(0),
            done: AtomicUsize::new(0),
            sent: AtomicU64::new(0),
        }
    }
}

impl Observer for PushProgress {
    fn started(&self, images: &[Image]) {
        let layers = images.iter().map(|image| image.layers.len()).sum();
        self.layers.store(layers, Ordering::Relaxed);
        self.done.store(0, Ordering::Relaxed);
        if let Some(bar) = &self.bar {
            bar.set_position(0);
            bar.set_length(layers as u64);
            bar.set_message("looking for what is there");
        }
    }

    fn layer_found(&self, _index: usize) {
        self.done.fetch_add(1, Ordering::Relaxed);
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
    }

    fn layer_done(&self, index: usize, _layer: &Layer, sent: u64) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        match &self.bar {
            Some(bar) => bar.inc(1),
            None if sent == 0 => {}
            None => {
                let (layer, layers) = (index + 1, self.layers.load(Ordering::Relaxed));
                let sent = Bytes(sent);
                write_line(&format!("Pushed layer {layer}, {sent}; {done} of {layers} are there"));
            }
        }
    }

    fn bytes(&self, bytes: u64) {
        let sent = self.sent.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if let Some(bar) = &self.bar {
            let milliseconds = self.start.elapsed().as_millis().max(1) as u64;
            let rate = Bytes(sent.saturating_mul(1000) / milliseconds);
            bar.set_message(format!("{} sent, {rate}/s", Bytes(sent)));
        }
    }

    fn finished(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn warn(&self, warning: &str) {
        super::warn(self.bar.as_ref(), warning);
    }
}
