//! A plain line for each layer and step, for logs.

use std::sync::atomic::{AtomicUsize, Ordering};

use delivery::{Observer, Step};
use image::{Image, Layer};

use super::say;
use super::units::Bytes;

/// Logs each step when it begins, and each layer when it is done.
#[derive(Debug)]
pub(super) struct Lines {
    did: &'static str,
    layers: AtomicUsize,
    done: AtomicUsize,
}

impl Lines {
    /// Lines that begin with what was done to a layer, such as "pushed".
    pub(super) fn new(did: &'static str) -> Self {
        Self { did, layers: AtomicUsize::new(0), done: AtomicUsize::new(0) }
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
            Step::Reading => "reading the image".to_owned(),
            // An answer comes soon, or a heartbeat reports it.
            Step::Asking(_) => return,
            Step::Sending => "moving layers".to_owned(),
            Step::Fetching => "fetching layers".to_owned(),
            Step::Unpacking(engine) => format!("waiting for {engine} to unpack"),
            Step::Pulling(engine) => format!("{engine} is pulling"),
            Step::Linking => "linking layers".to_owned(),
        };
        match bytes.filter(|bytes| *bytes > 0) {
            None => say::line(&what),
            Some(bytes) => say::line(&format!("{what}, {}", Bytes(bytes))),
        }
    }

    fn layer_found(&self, _index: usize) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    fn layer_done(&self, index: usize, _layer: &Layer, sent: u64) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if sent > 0 {
            let (did, layer, sent) = (self.did, index + 1, Bytes(sent));
            let layers = self.layers.load(Ordering::Relaxed);
            say::line(&format!("{did} layer {layer}, {sent}; {done} of {layers} done"));
        }
    }
}
