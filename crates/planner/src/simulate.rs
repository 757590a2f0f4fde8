//! What a layout moves over a series of image updates.
//!
//! A registry stores every blob that was ever pushed. A machine has the previous image and nothing
//! else: it pulls the layers that are not in it, and unpacks all layers that are not on top of the
//! same layers as before. Sizes are those of Nix archives; compression is ignored.

use std::collections::HashSet;

use super::Layers;
use super::compare;
use super::graph::{Closure, GraphError};
use super::series::Series;

/// What one update moves, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Layers that the registry never had.
    pub pushed: u64,
    /// Layers that are not in the previous image.
    pub pulled: u64,
    /// All layers from the first one that differs from the previous image's layer in its position.
    pub unpacked: u64,
    /// All layers of the image.
    pub image: u64,
    /// The number of the image's layers; in a sum, the largest number of any image.
    pub layers: usize,
}

impl Moved {
    /// Adds another update's figures.
    pub fn add(&mut self, other: Self) {
        self.pushed += other.pushed;
        self.pulled += other.pulled;
        self.unpacked += other.unpacked;
        self.image += other.image;
        self.layers = self.layers.max(other.layers);
    }
}

/// Plans each image of a series with the layers of the previous one (none for the first), and
/// returns what each update moves. The first image is not an update.
pub fn run(
    series: &Series,
    mut plan: impl FnMut(&Closure, Option<&Layers>) -> Result<Layers, GraphError>,
) -> Result<Vec<Moved>, GraphError> {
    let mut pushed: HashSet<Vec<String>> = HashSet::new();
    let mut before: Option<Layers> = None;
    let mut updates = Vec::new();
    for image in &series.images {
        let closure = Closure::new(image.nodes.clone())?;
        let layers = plan(&closure, before.as_ref())?;
        if let Some(before) = &before {
            updates.push(moved(&closure, &layers, before, &pushed));
        }
        pushed.extend(layers.iter().cloned());
        before = Some(layers);
    }
    Ok(updates)
}

fn moved(
    closure: &Closure,
    layers: &Layers,
    before: &Layers,
    pushed: &HashSet<Vec<String>>,
) -> Moved {
    let mut moved = Moved { layers: layers.len(), ..Moved::default() };
    for (layer, compared) in layers.iter().zip(compare::layers(closure, layers, before)) {
        let size = compared.size();
        moved.image += size;
        moved.unpacked += if compared.unpacked_before { 0 } else { size };
        moved.pulled += size - compared.reused;
        moved.pushed += if pushed.contains(layer) { 0 } else { size };
    }
    moved
}
