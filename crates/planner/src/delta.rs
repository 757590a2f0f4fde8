//! Reuses the previous image's layers where possible, and makes new ones for the rest.
//!
//! A layer of the previous image whose paths are all in the new closure is reused as it is: its
//! bytes are the same, so no registry or engine needs it again. All other paths are put into
//! [`clusters`] that change together. So an update does not depend on how a stateless layout would
//! split the whole closure.

use std::collections::{BTreeSet, HashSet};
use std::num::NonZeroUsize;

use super::Layers;
use super::auto::name_and_hash;
use super::churn::Churn;
use super::clusters::clusters;
use super::graph::{Closure, GraphError};
use super::ordered::seldom_first;

/// Splits a closure into at most `limit` layers, as many as possible of them from `previous`.
///
/// `own` are the paths that change most. Fails if paths refer to each other in a circle.
pub fn layers(
    closure: &Closure,
    limit: NonZeroUsize,
    excluded: &BTreeSet<String>,
    own: &BTreeSet<usize>,
    previous: &Layers,
) -> Result<Layers, GraphError> {
    let mut churn = Churn::new(closure, excluded, own)?;
    if !previous.is_empty() {
        churn.learn(closure, previous);
    }
    let mut image: Vec<usize> =
        (0..closure.paths.len()).filter(|&n| !excluded.contains(&closure.paths[n])).collect();
    image.sort_unstable_by_key(|&number| name_and_hash(&closure.paths[number]));
    let division = Division::new(closure, &image, limit.get(), previous);

    let new = clusters(closure, &churn, &division.rest, division.count);
    let new = new.into_iter().map(|numbers| {
        let mut paths: Vec<String> = numbers.iter().map(|&n| closure.paths[n].clone()).collect();
        paths.sort_unstable_by(|a, b| name_and_hash(a).cmp(&name_and_hash(b)));
        paths
    });

    // Unchanged layers at the bottom stay in place, so that engines need not unpack them again.
    let unmoved = previous.iter().zip(&division.kept).take_while(|(old, kept)| old == kept).count();
    let mut layers = division.kept;
    let above: Layers = layers.drain(unmoved..).chain(new).collect();
    let below: Vec<usize> = layers.iter().flatten().filter_map(|p| closure.number(p)).collect();
    layers.extend(seldom_first(closure, &churn, above, churn.closure_of(&below)));
    Ok(layers)
}

/// Which layers are reused, and which paths need new ones.
struct Division {
    /// Layers of the previous image, in its order.
    kept: Layers,
    /// The paths in none of them.
    rest: Vec<usize>,
    /// The number of layers for these.
    count: usize,
}

impl Division {
    /// Reuses layers, and leaves all remaining ones for the rest: at least half of the number that
    /// its share of the bytes corresponds to. The smallest layers of the previous image are dropped
    /// to achieve that.
    fn new(closure: &Closure, image: &[usize], limit: usize, previous: &Layers) -> Self {
        let mut kept = usable(closure, image, previous);
        let size_of = |paths: &[String]| -> u128 {
            let numbers = paths.iter().filter_map(|path| closure.number(path));
            numbers.map(|number| u128::from(closure.nar_sizes[number])).sum()
        };
        let total: u128 = image.iter().map(|&n| u128::from(closure.nar_sizes[n])).sum();
        let mut held: u128 = kept.iter().map(|paths| size_of(paths)).sum();
        let mut paths: usize = kept.iter().map(Vec::len).sum();
        loop {
            let bytes = (limit as u128 * (total - held)).div_ceil(2 * total.max(1));
            let needed = (bytes as usize).max(usize::from(paths < image.len()));
            if kept.len() + needed <= limit {
                let kept_paths: HashSet<&str> = kept.iter().flatten().map(String::as_str).collect();
                let in_none = |&&n: &&usize| !kept_paths.contains(closure.paths[n].as_str());
                let rest: Vec<usize> = image.iter().filter(in_none).copied().collect();
                return Self { count: limit - kept.len(), kept, rest };
            }
            let Some(smallest) = (0..kept.len()).min_by_key(|&n| size_of(&kept[n])) else {
                return Self { kept, rest: image.to_vec(), count: limit };
            };
            let dropped = kept.remove(smallest);
            held -= size_of(&dropped);
            paths -= dropped.len();
        }
    }
}

/// The layers of the previous image that consist of wanted paths.
fn usable(closure: &Closure, image: &[usize], previous: &Layers) -> Layers {
    let mut wanted: HashSet<&str> = image.iter().map(|&n| closure.paths[n].as_str()).collect();
    let mut take = |layer: &&Vec<String>| {
        let whole = !layer.is_empty() && layer.iter().all(|path| wanted.contains(path.as_str()));
        // A path that is in two layers counts for the first.
        whole && layer.iter().all(|path| wanted.remove(path.as_str()))
    };
    previous.iter().filter(|layer| take(layer)).cloned().collect()
}
