//! The sentences of nixpkgs' script, for logs.

use delivery::Observer;
use formats::python::repr;
use image::layer::Kind;
use image::{Image, Layer};

use super::say;

/// Prints, word for word, what nixpkgs' script prints.
#[derive(Debug)]
pub(super) struct Sentences;

impl Observer for Sentences {
    fn started(&self, images: &[Image]) {
        if !images.iter().any(Image::has_base) {
            say::line("No 'fromImage' provided");
        }
    }

    fn layer_started(&self, index: usize, layer: &Layer) {
        let number = index + 1;
        match layer.kind() {
            Kind::Base => {}
            Kind::Store => {
                let paths = repr::list_of_str(layer.origins());
                say::line(&format!("Creating layer {number} from paths: {paths}"));
            }
            Kind::Customisation => {
                say::line(&format!("Creating layer {number} with customisation..."));
            }
        }
    }

    fn layer_done(&self, index: usize, layer: &Layer, _sent: u64) {
        let number = index + 1;
        if let Some(base) = layer.as_base() {
            say::line(&format!("Adding base layer {number} from {}", base.name()));
        } else if layer.kind() == Kind::Base {
            let paths = repr::list_of_str(layer.origins());
            say::line(&format!("Adding base layer {number} from paths: {paths}"));
        }
    }

    fn documents_started(&self) {
        say::line("Adding manifests...");
    }

    fn finished(&self) {
        say::line("Done.");
    }
}
