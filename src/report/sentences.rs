//! The sentences of nixpkgs' script, as logs have them.

use delivery::Observer;
use formats::python::repr;
use image::layer::Kind;
use image::{Image, Layer};

use super::{Report, write_line, write_warning};

/// Says word for word what nixpkgs' script says.
#[derive(Debug)]
pub(super) struct Sentences;

impl Observer for Sentences {
    fn started(&self, images: &[Image]) {
        if !images.iter().any(Image::has_base) {
            write_line("No 'fromImage' provided");
        }
    }

    fn layer_started(&self, index: usize, layer: &Layer, _known: u64) {
        let number = index + 1;
        match layer.kind() {
            Kind::Base => {}
            Kind::Store => {
                let paths = repr::list_of_str(layer.origins());
                write_line(&format!("Creating layer {number} from paths: {paths}"));
            }
            Kind::Customisation => {
                write_line(&format!("Creating layer {number} with customisation..."));
            }
        }
    }

    fn layer_done(&self, index: usize, layer: &Layer, _sent: u64) {
        let number = index + 1;
        if let Some(base) = layer.as_base() {
            write_line(&format!("Adding base layer {number} from {}", base.name()));
        } else if layer.kind() == Kind::Base {
            let paths = repr::list_of_str(layer.origins());
            write_line(&format!("Adding base layer {number} from paths: {paths}"));
        }
    }

    fn documents_started(&self) {
        write_line("Adding manifests...");
    }

    fn finished(&self) {
        write_line("Done.");
    }

    fn warn(&self, warning: &str) {
        write_warning(warning);
    }
}

impl Report for Sentences {}
