//! Compares a new image with an old one: what they share, and why the rest differs.

use std::collections::{HashMap, HashSet};

use super::Layers;
use super::graph::Closure;

/// One layer of the new image, with sizes in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layer {
    /// The size of the layer if the old image has it too, so that it need not be moved.
    pub reused: u64,
    /// The size of the paths that the old image does not have.
    pub changed: u64,
    /// The size of the paths that the old image has in other layers. They are moved because they
    /// share a layer with changed paths, or because the layout differs.
    pub reshuffled: u64,
    /// Whether this layer and all layers below it are those of the old image, in the same order, so
    /// that an engine with the old image need not unpack it.
    pub unpacked_before: bool,
}

impl Layer {
    /// The size of the layer, in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.reused + self.changed + self.reshuffled
    }
}

/// Compares each layer of a new image, whose closure is given, with the layers of an old one.
#[must_use]
pub fn layers(closure: &Closure, new: &Layers, old: &Layers) -> Vec<Layer> {
    let sizes: HashMap<&str, u64> =
        closure.paths.iter().map(String::as_str).zip(closure.nar_sizes.iter().copied()).collect();
    let size = |path: &String| sizes.get(path.as_str()).copied().unwrap_or(0);
    let had_layers: HashSet<&Vec<String>> = old.iter().collect();
    let had_paths: HashSet<&String> = old.iter().flatten().collect();
    let mut stacked = true;
    let compare = |(place, layer): (usize, &Vec<String>)| {
        stacked &= old.get(place) == Some(layer);
        let mut compared = Layer { unpacked_before: stacked, ..Layer::default() };
        let sizes = layer.iter().map(|path| (size(path), had_paths.contains(path)));
        if had_layers.contains(layer) {
            compared.reused = sizes.map(|(size, _)| size).sum();
        } else {
            for (size, had) in sizes {
                *(if had { &mut compared.reshuffled } else { &mut compared.changed }) += size;
            }
        }
        compared
    };
    new.iter().enumerate().map(compare).collect()
}
