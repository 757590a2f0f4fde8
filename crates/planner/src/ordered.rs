//! The current layers of nixpkgs, with those that seldom change at the bottom.
//!
//! An engine stores a layer unpacked on top of exactly those below it. If a layer changes, all
//! layers above are unpacked again, however small the changed one is. [`auto`] orders its layers by
//! the size of their closure, which puts a small program of the user below large libraries. Here
//! the same layers, and thus the same blobs, are in another order: the next one is always that
//! which adds the least expected change per byte.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use super::Layers;
use super::auto::{self, name_and_hash};
use super::churn::Churn;
use super::graph::{Closure, GraphError};
use super::sets::Set;

/// The layers of [`auto::layers`] in another order. `own` are the paths that change most.
///
/// Fails if paths refer to each other in a circle.
pub fn layers(
    closure: &Closure,
    limit: NonZeroUsize,
    excluded: &BTreeSet<String>,
    own: &BTreeSet<usize>,
) -> Result<Layers, GraphError> {
    let churn = Churn::new(closure, excluded, own)?;
    let layers = auto::layers(closure, limit, excluded);
    let below = Set::new(closure.paths.len());
    Ok(seldom_first(closure, &churn, layers, below))
}

/// Orders layers that are to be stacked onto those with the closure `below`.
pub(super) fn seldom_first(
    closure: &Closure,
    churn: &Churn,
    layers: Layers,
    mut below: Set,
) -> Layers {
    let mut left: Vec<Candidate> =
        layers.into_iter().map(|paths| Candidate::new(closure, churn, paths, &below)).collect();
    // Sorted by name only, which decides in case of a tie.
    left.sort_by(|a, b| a.names().cmp(b.names()));
    let mut order = Vec::with_capacity(left.len());
    while let Some(next) = (0..left.len()).min_by(|&a, &b| left[a].compare(&left[b])) {
        let next = left.remove(next);
        for number in next.closure.difference(&below) {
            let rate = churn.alone(number);
            let with = left.iter_mut().filter(|other| other.closure.contains(number));
            with.for_each(|other| other.added -= rate);
        }
        below.unite(&next.closure);
        order.push(next.paths);
    }
    order
}

/// A layer that has no position yet.
struct Candidate {
    paths: Vec<String>,
    closure: Set,
    size: u64,
    /// The rate of change that it would add to the layers below.
    added: u64,
}

impl Candidate {
    fn new(closure: &Closure, churn: &Churn, paths: Vec<String>, below: &Set) -> Self {
        let members: Vec<usize> = paths.iter().filter_map(|path| closure.number(path)).collect();
        let size = members.iter().map(|&number| closure.nar_sizes[number]);
        let size = size.fold(0, u64::saturating_add).max(1);
        let closure = churn.closure_of(&members);
        Self { paths, added: churn.added(&closure, below), closure, size }
    }

    fn names(&self) -> impl Iterator<Item = (&str, &str)> {
        self.paths.iter().map(|path| name_and_hash(path))
    }

    /// Compares added / size without dividing.
    fn compare(&self, other: &Self) -> std::cmp::Ordering {
        let mine = u128::from(self.added) * u128::from(other.size);
        mine.cmp(&(u128::from(other.added) * u128::from(self.size)))
    }
}
