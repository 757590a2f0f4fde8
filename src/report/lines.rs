//! A plain line for each layer and step, for logs.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use delivery::{Observer, Step};
use image::{Image, Layer};

use super::say;
use super::units::Bytes;

/// Logs each step when it begins, and each layer when it is done.
#[derive(Debug)]
pub(super) struct Lines {
    did: &'static str,
    /// Whether layers are placed in a storage, file by file.
    is_placing: AtomicBool,
    layers: AtomicUsize,
    done: AtomicUsize,
}

impl Lines {
    /// Lines that begin with what was done to a layer, such as "pushed".
    pub(super) fn new(did: &'static str) -> Self {
        let [layers, done] = [0, 0].map(AtomicUsize::new);
        Self { did, is_placing: AtomicBool::new(false), layers, done }
    }
}

impl Observer for Lines {
    fn started(&self, images: &[Image]) {
        let layers = images.iter().map(|image| image.layers().len()).sum();
        self.layers.store(layers, Ordering::Relaxed);
        self.done.store(0, Ordering::Relaxed);
    }

    fn step(&self, step: Step, bytes: Option<u64>) {
        // Layers that were done before, in an attempt that failed, may be sent again.
        self.done.store(0, Ordering::Relaxed);
        self.is_placing.store(step == Step::Linking, Ordering::Relaxed);
        let what = match step {
            Step::Reading => "reading the image".to_owned(),
            Step::Examining => "examining the files".to_owned(),
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
            Some(bytes) if matches!(step, Step::Pulling(_)) => {
                say::line(&format!("{what}, at most {}", Bytes(bytes)));
            }
            Some(bytes) => say::line(&format!("{what}, {}", Bytes(bytes))),
        }
    }

    fn layer_found(&self, _index: usize) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    fn layer_done(&self, index: usize, _layer: &Layer, sent: u64) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if sent > 0 {
            let is_placing = self.is_placing.load(Ordering::Relaxed);
            let did = if is_placing { "placed" } else { self.did };
            let (layer, sent) = (index + 1, Bytes(sent));
            let layers = self.layers.load(Ordering::Relaxed);
            say::line(&format!("{did} layer {layer}, {sent}; {done} of {layers} done"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_attempt_counts_layers_from_the_start() {
        let lines = Lines::new("sent");
        lines.layer_found(0);
        lines.step(Step::Asking("docker"), None);
        assert_eq!(lines.done.load(Ordering::Relaxed), 0);
    }
}
