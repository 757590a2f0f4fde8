//! What a run says that writes an image: nixpkgs' lines, or a bar.

use indicatif::ProgressBar;

use super::write_line;
use formats::python::repr;
use image::engine::Engine;
use image::{Image, Layer, LayerSource};

/// Tells how far a run is.
#[derive(Debug)]
pub enum Progress {
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
    pub fn new() -> Self {
        super::bar(BAR).map_or(Self::Lines, Self::Bar)
    }

    /// A bar where standard error is a terminal, otherwise nothing.
    pub fn quiet() -> Self {
        match Self::new() {
            Self::Lines | Self::Quiet => Self::Quiet,
            Self::Bar(bar) => Self::Bar(bar),
        }
    }

    /// Says how a command ended.
    pub fn conclude(&self, sentence: &str) {
        match self {
            Self::Lines | Self::Quiet => write_line(sentence),
            Self::Bar(bar) => {
                bar.finish_and_clear();
                write_line(sentence);
            }
        }
    }

    /// The image's first layer is at hand.
    pub fn start(&self, image: &Image) {
        if image.base.is_none() {
            self.line("No 'fromImage' provided");
        }
    }

    /// A layer's turn has come.
    pub fn layer(&self, index: usize, layer: &Layer, engine: &Engine<'_>) {
        let number = index + 1;
        if let Self::Bar(bar) = self {
            bar.set_length(engine.known_size().max(bar.position()));
            bar.set_message(format!("layer {number}/{}", engine.image().layers.len()));
        }
        match &layer.source {
            LayerSource::Base(_) => {}
            LayerSource::Store(_) if number < engine.image().layers.len() => self.line(&format!(
                "Creating layer {number} from paths: {}",
                repr::list_of_str(&layer.origins)
            )),
            // The last layer is always the customisation layer.
            LayerSource::Store(_) | LayerSource::Prebuilt(_) | LayerSource::Absent(_) => {
                self.line(&format!("Creating layer {number} with customisation..."));
            }
        }
    }

    /// A layer was written.
    pub fn layer_done(&self, index: usize, layer: &Layer) {
        if let LayerSource::Base(base) = &layer.source {
            let name = String::from_utf8_lossy(&base.member.name);
            self.line(&format!("Adding base layer {} from {name}", index + 1));
        }
    }

    /// So many bytes were written by now.
    pub fn written(&self, bytes: u64) {
        if let Self::Bar(bar) = self {
            bar.set_position(bytes);
        }
    }

    /// Something begins that takes so many bytes, if it is known how many.
    pub fn expect(&self, doing: &'static str, bytes: Option<u64>) {
        if let Self::Bar(bar) = self {
            bar.set_position(0);
            match bytes {
                Some(bytes) => bar.set_length(bytes),
                None => bar.unset_length(),
            }
            bar.set_message(doing);
        }
    }

    /// So many bytes more are to come, as somebody asks for them.
    pub fn expect_more(&self, bytes: u64) {
        if let Self::Bar(bar) = self {
            bar.set_length(bar.length().unwrap_or(0) + bytes);
        }
    }

    /// So many bytes more were written.
    pub fn advance(&self, bytes: u64) {
        if let Self::Bar(bar) = self {
            bar.inc(bytes);
        }
    }

    /// All layers were written.
    pub fn documents(&self) {
        self.line("Adding manifests...");
    }

    /// All was written.
    pub fn done(&self) {
        self.line("Done.");
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }

    /// Says that something is odd and yet no error.
    pub fn warn(&self, warning: &str) {
        let bar = match self {
            Self::Lines | Self::Quiet => None,
            Self::Bar(bar) => Some(bar),
        };
        super::warn(bar, warning);
    }

    fn line(&self, line: &str) {
        if matches!(self, Self::Lines) {
            write_line(line);
        }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}
