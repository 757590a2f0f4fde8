//! JSON events, one per line, for programs. docs/progress.md describes them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use delivery::{Observer, Step};
use image::{Image, Layer};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::say;

/// Milliseconds between two events about bytes, as a line for each piece moved would be too many.
const PAUSE: u64 = 100;

/// Reports everything as JSON.
#[derive(Debug)]
pub(super) struct Json {
    start: Instant,
    bytes: AtomicU64,
    /// The last reported size, and whether it was final.
    size: Mutex<Option<(u64, bool)>>,
    /// When bytes are next reported, in milliseconds since the start.
    next: AtomicU64,
}

/// Reports why a command failed, with a hint.
pub(super) fn write_error(message: &str, hint: Option<&str>) {
    write(&json!({ "event": "error", "message": message, "hint": hint }));
}

/// Reports the outcome of a command.
pub(super) fn write_result(result: &Value) {
    let mut event = json!({ "event": "result" });
    if let (Some(event), Some(result)) = (event.as_object_mut(), result.as_object()) {
        event.extend(result.clone());
    }
    write(&event);
}

impl Json {
    pub(super) fn new() -> Self {
        Self { start: Instant::now(), bytes: 0.into(), size: Mutex::default(), next: 0.into() }
    }
}

fn write(event: &Value) {
    say::line(&event.to_string());
}

impl Observer for Json {
    fn started(&self, images: &[Image]) {
        self.bytes.store(0, Ordering::Relaxed);
        let layers: usize = images.iter().map(|image| image.layers().len()).sum();
        write(&json!({ "event": "started", "images": images.len(), "layers": layers }));
    }

    fn step(&self, step: Step, bytes: Option<u64>) {
        let (step, peer) = match step {
            Step::Reading => ("reading", None),
            Step::Examining => ("examining", None),
            Step::Asking(peer) => ("asking", Some(peer)),
            Step::Sending => ("sending", None),
            Step::Fetching => ("fetching", None),
            Step::Unpacking(peer) => ("unpacking", Some(peer)),
            Step::Pulling(peer) => ("pulling", Some(peer)),
            Step::Linking => ("linking", None),
        };
        write(&json!({ "event": "step", "step": step, "peer": peer, "bytes": bytes }));
    }

    fn layer_started(&self, index: usize, layer: &Layer) {
        let (layer, origins) = (index + 1, layer.origins());
        write(&json!({ "event": "layer_started", "layer": layer, "origins": origins }));
    }

    fn size_known(&self, bytes: u64, is_final: bool) {
        // An archive reports it again with each layer.
        let size = Some((bytes, is_final));
        if std::mem::replace(&mut *self.size.lock(), size) != size {
            write(&json!({ "event": "size_known", "bytes": bytes, "final": is_final }));
        }
    }

    fn layers_missing(&self, bytes: u64) {
        write(&json!({ "event": "layers_missing", "bytes": bytes }));
    }

    fn layer_found(&self, index: usize) {
        write(&json!({ "event": "layer_found", "layer": index + 1 }));
    }

    fn layer_done(&self, index: usize, _layer: &Layer, sent: u64) {
        write(&json!({ "event": "layer_done", "layer": index + 1, "bytes": sent }));
    }

    fn bytes_expected(&self, bytes: u64) {
        write(&json!({ "event": "bytes_expected", "bytes": bytes }));
    }

    fn bytes_requested(&self, bytes: u64) {
        write(&json!({ "event": "bytes_requested", "bytes": bytes }));
    }

    fn bytes(&self, bytes: u64) {
        let bytes = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let (now, next) = (self.start.elapsed().as_millis() as u64, &self.next);
        let due = next.load(Ordering::Relaxed);
        // If several threads get here at once, one of them writes.
        let (same, other) = (Ordering::Relaxed, Ordering::Relaxed);
        if now >= due && next.compare_exchange(due, now + PAUSE, same, other).is_ok() {
            write(&json!({ "event": "bytes", "bytes": bytes }));
        }
    }

    fn documents_started(&self) {
        write(&json!({ "event": "documents_started" }));
    }

    fn finished(&self) {
        let bytes = self.bytes.load(Ordering::Relaxed);
        write(&json!({ "event": "finished", "bytes": bytes }));
    }

    fn note(&self, note: &str) {
        write(&json!({ "event": "note", "message": note }));
    }

    fn warn(&self, warning: &str) {
        write(&json!({ "event": "warning", "message": warning }));
    }
}
