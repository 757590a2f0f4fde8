//! A plain line for each layer and step, for logs.

use std::sync::atomic::{AtomicUsize, Ordering};

use delivery::{Observer, Step};
use image::{Image, Layer};

use super::bytes::Bytes;
use super::{Report, write_line, write_note, write_warning};

/// Says of each layer when it is there.
#[derive(Debug)]
pub(super) struct Lines {
    verb: &'static str,
    verbose: bool,
    layers: AtomicUsize,
    done: AtomicUsize,
}

impl Lines {
    /// Lines that begin with what was done to a layer, such as "Pushed".
    pub(super) fn new(verb: &'static str, verbose: bool) -> Self {
        Self { verb, verbose, layers: AtomicUsize::new(0), done: AtomicUsize::new(0) }
    }
}

impl Observer for Lines {
    fn started(&self, images: &[Image]) {
        let layers = images.iter().map(|image| image.layers().len()).sum();
        self.layers.store(layers, Ordering::Relaxed);
        self.done.store(0, Ordering::Relaxed);
    }

    fn step(&self, step: Step, bytes: Option<u64>) {
        let what = match step {
            Step::Reading => "Reading the image",
            Step::Sending => "Sending layers",
            Step::Fetching => "Fetching layers",
            Step::Unpacking => "dockerd unpacks what was sent",
            Step::Pulling => "The engine pulls what it lacks",
            Step::Linking => "Linking layers",
        };
        match bytes {
            None => write_line(what),
            Some(bytes) => write_line(&format!("{what}, {}", Bytes(bytes))),
        }
    }

    fn layer_found(&self, _index: usize) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    fn layer_done(&self, index: usize, _layer: &Layer, sent: u64) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if sent > 0 {
            let (verb, layer, sent) = (self.verb, index + 1, Bytes(sent));
            let layers = self.layers.load(Ordering::Relaxed);
            write_line(&format!("{verb} layer {layer}, {sent}; {done} of {layers} are there"));
        }
    }

    fn note(&self, note: &str) {
        if self.verbose {
            write_note(note);
        }
    }

    fn warn(&self, warning: &str) {
        write_warning(warning);
    }
}

impl Report for Lines {}
