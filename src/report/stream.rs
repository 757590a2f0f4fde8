//! What a run says that writes an image: nixpkgs' lines, or a bar.

use delivery::{Observer, Step};
use formats::python::repr;
use image::layer::Kind;
use image::{Image, Layer};
use indicatif::ProgressBar;

use super::write_line;

/// Tells how far a run is.
#[derive(Debug)]
pub(crate) enum Progress {
    /// One line a step, the ones that nixpkgs' script writes, for logs.
    Lines,
    /// A bar that shows layers, bytes, rate and time left.
    Bar(ProgressBar),
    /// Nothing but warnings.
    Quiet,
}

const BAR: &str = "{msg:>16} [{bar:30}] {bytes}/{total_bytes} {binary_bytes_per_sec} {eta} left";

impl Progress {
    /// A bar where standard error is a terminal, otherwise lines.
    pub(crate) fn new() -> Self {
        super::bar(BAR).map_or(Self::Lines, Self::Bar)
    }

    /// A bar where standard error is a terminal, otherwise nothing.
    pub(crate) fn quiet() -> Self {
        super::bar(BAR).map_or(Self::Quiet, Self::Bar)
    }

    /// Says how a command ended.
    pub(crate) fn conclude(&self, sentence: &str) {
        if let Some(bar) = self.bar() {
            bar.finish_and_clear();
        }
        write_line(sentence);
    }

    fn bar(&self) -> Option<&ProgressBar> {
        match self {
            Self::Lines | Self::Quiet => None,
            Self::Bar(bar) => Some(bar),
        }
    }

    fn line(&self, line: &str) {
        if matches!(self, Self::Lines) {
            write_line(line);
        }
    }
}

impl Observer for Progress {
    fn started(&self, images: &[Image]) {
        if images.iter().all(|image| image.base.is_none()) {
            self.line("No 'fromImage' provided");
        }
    }

    fn step(&self, step: Step, bytes: Option<u64>) {
        if let Some(bar) = self.bar() {
            bar.set_position(0);
            match bytes {
                Some(bytes) => bar.set_length(bytes),
                None => bar.unset_length(),
            }
            bar.set_message(match step {
                Step::Reading => "reading",
                Step::Sending => "sending",
                Step::Unpacking => "dockerd unpacks",
                Step::Pulling => "the engine pulls",
            });
        }
    }

    fn layer_started(&self, index: usize, layer: &Layer, known: u64) {
        let number = index + 1;
        if let Some(bar) = self.bar() {
            bar.set_length(known.max(bar.position()));
            bar.set_message(format!("layer {number}"));
        }
        match layer.kind() {
            Kind::Base => {}
            Kind::Store => self.line(&format!(
                "Creating layer {number} from paths: {}",
                repr::list_of_str(layer.origins())
            )),
            Kind::Customisation => {
                self.line(&format!("Creating layer {number} with customisation..."));
            }
        }
    }

    fn layer_done(&self, index: usize, layer: &Layer, _sent: u64) {
        if let Some(base) = layer.as_base() {
            self.line(&format!("Adding base layer {} from {}", index + 1, base.name()));
        }
    }

    fn bytes_expected(&self, bytes: u64) {
        if let Some(bar) = self.bar() {
            bar.set_length(bar.length().unwrap_or(0) + bytes);
        }
    }

    fn bytes(&self, bytes: u64) {
        if let Some(bar) = self.bar() {
            bar.inc(bytes);
        }
    }

    fn documents_started(&self) {
        self.line("Adding manifests...");
    }

    fn finished(&self) {
        self.line("Done.");
        if let Some(bar) = self.bar() {
            bar.finish_and_clear();
        }
    }

    fn warn(&self, warning: &str) {
        super::warn(self.bar(), warning);
    }
}
