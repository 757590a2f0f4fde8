//! The output of `nix-image plan --explain`: what a new image has in common with an old one.

use std::fmt::Write as _;

use crate::report::Bytes;
use planner::Layers;
use planner::compare::{self, Layer};
use planner::graph::Closure;

/// How many paths of a layer to name.
const SHOWN: usize = 4;

/// Compares a new image, which has this closure, with an old one.
pub(super) fn text(closure: &Closure, new: &Layers, old: &Layers) -> String {
    let compared = compare::layers(closure, new, old);
    let sum = |bytes: fn(&Layer) -> u64| Bytes(compared.iter().map(bytes).sum());
    let reused = compared.iter().filter(|layer| is_reused(layer)).count();
    let unpacked: Vec<&Layer> = compared.iter().filter(|layer| !layer.unpacked_before).collect();
    let mut text = format!(
        "reused      {reused} of {} layers, {}\n\
         changed     {}, in paths that the old image lacks\n\
         reshuffled  {}, in paths that the old image has in other layers\n\
         unpacked    {} layers, {}: those above the first that is not where it was\n",
        new.len(),
        sum(|layer| layer.reused),
        sum(|layer| layer.changed),
        sum(|layer| layer.reshuffled),
        unpacked.len(),
        Bytes(unpacked.iter().map(|layer| layer.size()).sum()),
    );
    for (place, (layer, paths)) in compared.iter().zip(new).enumerate() {
        if !is_reused(layer) {
            // Writing to a string cannot fail.
            let _ = write!(
                text,
                "\nlayer {}: {} changed, {} reshuffled\n  {}\n",
                place + 1,
                Bytes(layer.changed),
                Bytes(layer.reshuffled),
                largest(closure, paths)
            );
        }
    }
    text
}

fn is_reused(layer: &Layer) -> bool {
    layer.changed + layer.reshuffled == 0
}

/// The names of a layer's largest paths, and the number of the others.
fn largest(closure: &Closure, paths: &[String]) -> String {
    let size = |path: &&String| closure.number(path).map_or(0, |number| closure.nar_sizes[number]);
    let mut by_size: Vec<&String> = paths.iter().collect();
    by_size.sort_by_key(|path| std::cmp::Reverse(size(path)));
    let name = |path: &&String| path.rsplit('/').next().unwrap_or(path).to_owned();
    let mut names: Vec<String> = by_size.iter().take(SHOWN).map(name).collect();
    if paths.len() > SHOWN {
        names.push(format!("and {} more", paths.len() - SHOWN));
    }
    names.join(", ")
}
