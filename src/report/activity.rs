//! The current activity of a command, and its progress.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use delivery::{Observer, Step};
use image::{Image, Layer, Meter};
use parking_lot::Mutex;

use super::Style;
use super::extent::{Extent, Total};
use super::units::Bytes;

/// Rates are shown only after this time, when they are steady enough. An engine that takes nothing
/// for as long, although all that it requested was sent, is unpacking.
const SETTLED: Duration = Duration::from_secs(1);

/// The current activity of a command, updated as an observer.
#[derive(Debug)]
pub(super) struct Activity {
    style: Style,
    state: Mutex<State>,
    /// Bytes moved in this step.
    moved: AtomicU64,
    /// Bytes of missing layers that have become part of blobs.
    made: AtomicU64,
    /// Bytes to read in order to hash layers, in total and so far.
    to_read: AtomicU64,
    read: AtomicU64,
    /// Whether the total to read is final.
    is_announced: AtomicBool,
}

#[derive(Debug)]
struct State {
    what: What,
    /// When this activity began.
    since: Instant,
    size: Size,
    /// Bytes of layers that the destination lacks.
    missing: u64,
    /// Bytes of layers that the engine requested.
    requested: u64,
    /// The bytes moved when they were last looked at, and since when there have been no more.
    seen: (u64, Instant),
    /// The layers of the images, and how many of them the destination has.
    layers: usize,
    done: usize,
    /// The current layer, counted from 1.
    turn: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    /// Nothing worth mentioning.
    Nothing,
    /// Transferring layers.
    Layers,
    Documents,
    Step(Step),
}

/// How many bytes a step moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Size {
    Unknown,
    /// At least this many.
    Growing(u64),
    /// At most this many.
    Bounded(u64),
    Known(u64),
}

/// A snapshot of the counters.
struct Counts {
    moved: u64,
    made: u64,
    to_read: u64,
    read: u64,
    is_announced: bool,
}

/// A snapshot of the current activity.
#[derive(Debug)]
pub(super) struct Moment {
    /// Such as `linking layer 3 of 12`.
    pub(super) what: String,
    /// The fraction that is done, from 0 to 1, if known.
    pub(super) share: Option<f64>,
    /// Further facts, the most important first.
    pub(super) facts: Vec<String>,
    /// How long it has been going on.
    pub(super) elapsed: Duration,
}

impl Activity {
    pub(super) fn new(style: Style) -> Self {
        let state = State {
            what: What::Nothing,
            since: Instant::now(),
            size: Size::Unknown,
            missing: 0,
            requested: 0,
            seen: (0, Instant::now()),
            layers: 0,
            done: 0,
            turn: None,
        };
        let [moved, made, to_read, read] = [0, 0, 0, 0].map(AtomicU64::new);
        let is_announced = AtomicBool::new(false);
        Self { style, state: Mutex::new(state), moved, made, to_read, read, is_announced }
    }

    /// The current activity, if there is one.
    pub(super) fn moment(&self) -> Option<Moment> {
        let mut state = self.state.lock();
        let counts = self.counts();
        if state.seen.0 != counts.moved {
            state.seen = (counts.moved, Instant::now());
        }
        if let Some(engine) = state.unpacking(&counts, state.seen.1.elapsed()) {
            let (what, elapsed) = (waiting_for(engine), state.seen.1.elapsed());
            return Some(Moment { what, share: None, facts: Vec::new(), elapsed });
        }
        let what =
            state.describe(if counts.is_reading() { "reading" } else { self.style.doing })?;
        let mut extent = state.extent(&counts);
        let elapsed = state.since.elapsed();
        if elapsed >= SETTLED {
            extent.add_pace(elapsed);
        }
        Some(Moment { what, share: extent.share(), facts: extent.facts, elapsed })
    }

    fn counts(&self) -> Counts {
        let [moved, made, to_read, read] = [&self.moved, &self.made, &self.to_read, &self.read]
            .map(|bytes| bytes.load(Ordering::Relaxed));
        let is_announced = self.is_announced.load(Ordering::Relaxed);
        Counts { moved, made, to_read, read, is_announced }
    }

    /// Ends the current activity.
    pub(super) fn end(&self) {
        self.begin(What::Nothing, Size::Unknown);
    }

    fn begin(&self, what: What, size: Size) {
        let mut state = self.state.lock();
        (state.what, state.size, state.since) = (what, size, Instant::now());
        (state.turn, state.missing, state.requested) = (None, 0, 0);
        state.seen = (0, Instant::now());
        self.is_announced.store(false, Ordering::Relaxed);
        for bytes in [&self.moved, &self.made, &self.to_read, &self.read] {
            bytes.store(0, Ordering::Relaxed);
        }
    }
}

impl Counts {
    /// Whether layers are still being hashed, and no byte could be moved yet.
    fn is_reading(&self) -> bool {
        self.moved == 0 && self.read < self.to_read
    }
}

impl State {
    /// The engine that is unpacking, because all that it requested was sent: if that is the whole
    /// image, or if it has requested nothing else for a while.
    fn unpacking(&self, counts: &Counts, idle: Duration) -> Option<&'static str> {
        let What::Step(Step::Pulling(engine)) = self.what else { return None };
        let Size::Bounded(highest) = self.size else { return None };
        let is_all = self.requested > 0 && counts.moved >= self.requested;
        (is_all && (counts.moved >= highest || idle >= SETTLED)).then_some(engine)
    }

    fn extent(&self, counts: &Counts) -> Extent {
        let &Counts { moved, made, to_read, read, is_announced } = counts;
        match self.size {
            _ if self.missing > 0 => {
                let mut extent = Extent::of(made, self.missing, Total::Exact);
                extent.facts.push(format!("{} sent", Bytes(moved)));
                extent
            }
            _ if counts.is_reading() && is_announced => Extent::of(read, to_read, Total::Exact),
            _ if counts.is_reading() => Extent::of(read, to_read, Total::SoFar),
            Size::Known(size) if size > 0 => Extent::of(moved, size, Total::Exact),
            Size::Growing(size) if size > 0 => Extent::of(moved, size, Total::SoFar),
            Size::Bounded(size) if size > 0 => {
                Extent::of(moved, size.max(self.requested), Total::Highest)
            }
            _ => Extent::unknown(moved),
        }
    }

    fn describe(&self, doing: &str) -> Option<String> {
        Some(match self.what {
            What::Nothing => return None,
            What::Documents => format!("{doing} the manifest"),
            What::Step(Step::Reading) => "reading the image".into(),
            What::Step(Step::Asking(whom)) => format!("asking {whom}"),
            What::Step(Step::Examining) => "examining the files".into(),
            What::Step(Step::Unpacking(engine)) => waiting_for(engine),
            What::Step(Step::Pulling(engine)) => format!("{engine} is pulling"),
            What::Step(Step::Linking) => self.layer("linking"),
            What::Step(Step::Fetching) => self.layer("fetching"),
            What::Step(Step::Sending) | What::Layers => self.layer(doing),
        })
    }

    /// Such as `linking layer 3 of 12`.
    fn layer(&self, doing: &str) -> String {
        let turn = self.turn.unwrap_or(self.done + 1).min(self.layers);
        if turn == 0 {
            format!("{doing} layers")
        } else {
            format!("{doing} layer {turn} of {}", self.layers)
        }
    }
}

fn waiting_for(engine: &str) -> String {
    format!("waiting for {engine} to unpack")
}

impl Meter for Activity {
    fn will_read(&self, bytes: u64) {
        self.to_read.fetch_add(bytes, Ordering::Relaxed);
    }

    fn all_announced(&self) {
        self.is_announced.store(true, Ordering::Relaxed);
    }

    fn read(&self, bytes: u64) {
        self.read.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Observer for Activity {
    fn started(&self, images: &[Image]) {
        let layers = images.iter().map(|image| image.layers().len()).sum();
        {
            let mut state = self.state.lock();
            (state.layers, state.done) = (layers, 0);
        }
        self.begin(What::Layers, Size::Unknown);
    }

    fn step(&self, step: Step, bytes: Option<u64>) {
        // Layers that were done before, in an attempt that failed, may be sent again.
        self.state.lock().done = 0;
        let size = match (step, bytes) {
            (_, None) => Size::Unknown,
            (Step::Pulling(_), Some(bytes)) => Size::Bounded(bytes),
            (_, Some(bytes)) => Size::Known(bytes),
        };
        self.begin(What::Step(step), size);
    }

    fn layer_started(&self, index: usize, _layer: &Layer) {
        self.state.lock().turn = Some(index + 1);
    }

    fn size_known(&self, bytes: u64, is_final: bool) {
        self.state.lock().size = if is_final { Size::Known(bytes) } else { Size::Growing(bytes) };
    }

    fn layers_missing(&self, bytes: u64) {
        self.begin(What::Layers, Size::Unknown);
        self.state.lock().missing = bytes;
    }

    fn bytes_made(&self, bytes: u64) {
        self.made.fetch_add(bytes, Ordering::Relaxed);
    }

    fn layer_found(&self, _index: usize) {
        self.state.lock().done += 1;
    }

    fn layer_done(&self, _index: usize, _layer: &Layer, _sent: u64) {
        self.state.lock().done += 1;
    }

    fn bytes_expected(&self, bytes: u64) {
        let mut state = self.state.lock();
        state.size = match state.size {
            Size::Unknown => Size::Growing(bytes),
            Size::Growing(before) | Size::Known(before) | Size::Bounded(before) => {
                Size::Growing(before + bytes)
            }
        };
    }

    fn bytes_requested(&self, bytes: u64) {
        self.state.lock().requested += bytes;
    }

    fn bytes(&self, bytes: u64) {
        if self.moved.fetch_add(bytes, Ordering::Relaxed) == 0 {
            let mut state = self.state.lock();
            // The time spent hashing says nothing about how fast bytes move.
            if state.missing == 0 {
                state.since = Instant::now();
            }
        }
    }

    fn documents_started(&self) {
        self.begin(What::Documents, Size::Unknown);
    }

    fn finished(&self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is shown, without rates.
    fn said(activity: &Activity) -> String {
        let Some(Moment { what, share, facts, .. }) = activity.moment() else {
            return String::new();
        };
        let share = share.map(|share| format!("{:.0} %", share * 100.0));
        [vec![what], share.into_iter().collect(), facts].concat().join(", ")
    }

    #[test]
    fn sizes_are_said_where_they_are_known() {
        let activity = Activity::new(Style::WRITE);
        let mut all = vec![said(&activity)];
        let steps: [&dyn Fn(); 19] = [
            &|| activity.step(Step::Asking("podman"), None),
            &|| activity.step(Step::Reading, None),
            &|| activity.will_read(1500),
            &|| activity.will_read(500),
            &|| activity.all_announced(),
            &|| activity.read(500),
            &|| activity.read(1500),
            &|| activity.step(Step::Sending, Some(0)),
            &|| activity.step(Step::Sending, Some(4000)),
            &|| activity.bytes(1000),
            &|| activity.size_known(5000, false),
            &|| activity.bytes(9000),
            &|| activity.size_known(20_000, true),
            &|| activity.step(Step::Pulling("podman"), Some(8000)),
            &|| activity.bytes_requested(3000),
            &|| activity.bytes(3000),
            &|| activity.bytes_requested(5000),
            &|| activity.bytes(5000),
            &|| activity.end(),
        ];
        for step in steps {
            step();
            all.push(said(&activity));
        }
        let expected = [
            "",
            "asking podman",
            "reading the image",
            "reading the image, 0 %, 0 bytes of 1.5 kB so far",
            "reading the image, 0 %, 0 bytes of 2.0 kB so far",
            "reading the image, 0 %, 0 bytes of 2.0 kB",
            "reading the image, 25 %, 500 bytes of 2.0 kB",
            "reading the image",
            "writing layers",
            "writing layers, 0 %, 0 bytes of 4.0 kB",
            "writing layers, 25 %, 1.0 kB of 4.0 kB",
            "writing layers, 20 %, 1.0 kB of 5.0 kB so far",
            "writing layers, 100 %, 10.0 kB of 10.0 kB so far",
            "writing layers, 50 %, 10.0 kB of 20.0 kB",
            "podman is pulling, 0 %, 0 bytes of at most 8.0 kB",
            "podman is pulling, 0 %, 0 bytes of at most 8.0 kB",
            "podman is pulling, 38 %, 3.0 kB of at most 8.0 kB",
            "podman is pulling, 38 %, 3.0 kB of at most 8.0 kB",
            "waiting for podman to unpack",
            "",
        ];
        assert_eq!(all, expected);
    }

    #[test]
    fn another_attempt_counts_layers_from_the_start() {
        let activity = Activity::new(Style::LOAD);
        activity.state.lock().layers = 3;
        activity.step(Step::Sending, None);
        activity.layer_found(0);
        assert_eq!(said(&activity), "sending layer 2 of 3");
        activity.step(Step::Sending, None);
        assert_eq!(said(&activity), "sending layer 1 of 3");
    }

    #[test]
    fn an_engine_that_takes_no_more_is_unpacking() {
        let activity = Activity::new(Style::LOAD);
        activity.step(Step::Pulling("podman"), Some(8000));
        activity.bytes_requested(3000);
        let unpacking = |moved, idle| {
            let counts = Counts { moved, ..activity.counts() };
            activity.state.lock().unpacking(&counts, idle)
        };
        assert_eq!(unpacking(2999, 9 * SETTLED), None);
        assert_eq!(unpacking(3000, SETTLED / 2), None);
        assert_eq!(unpacking(3000, SETTLED), Some("podman"));
    }

    #[test]
    fn a_push_says_what_is_made_and_what_is_sent() {
        let activity = Activity::new(Style::PUSH);
        activity.layers_missing(4000);
        activity.bytes_made(1000);
        activity.bytes(300);
        assert_eq!(said(&activity), "pushing layers, 25 %, 1.0 kB of 4.0 kB, 300 bytes sent");
        // Made again after the upload broke.
        activity.bytes_made(4000);
        assert_eq!(said(&activity), "pushing layers, 100 %, 4.0 kB of 4.0 kB, 300 bytes sent");
        activity.layers_missing(0);
        assert_eq!(said(&activity), "pushing layers");
    }
}
