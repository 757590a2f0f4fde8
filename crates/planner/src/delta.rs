//! The layers of the image before, as far as they are still right, and new ones for the rest.
//!
//! A layer of the image before that holds nothing but paths of the new closure is kept, path for
//! path: it has the same bytes, so no registry and no engine has to be given it again. All other
//! paths are put into [`clusters`] of such as change together. So what an update moves does not
//! depend on how a layout without a memory would cut the whole closure anew.

use std::collections::{BTreeSet, HashSet};
use std::num::NonZeroUsize;

use super::Layers;
use super::auto::name_and_hash;
use super::churn::Churn;
use super::clusters::clusters;
use super::graph::{Closure, GraphError};
use super::ordered::seldom_first;

/// Cuts a closure into at most `limit` layers, as many as possible of them out of `previous`.
///
/// `own` are the paths that change most. Fails when paths refer to each other in a circle.
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

    // What has not moved stays where it is; engines need not unpack it again.
    let unmoved = previous.iter().zip(&division.kept).take_while(|(old, kept)| old == kept).count();
    let mut layers = division.kept;
    let above: Layers = layers.drain(unmoved..).chain(new).collect();
    let below: Vec<usize> = layers.iter().flatten().filter_map(|p| closure.number(p)).collect();
    layers.extend(seldom_first(closure, &churn, above, churn.closure_of(&below)));
    Ok(layers)
}

/// What is kept, and what goes into new layers.
struct Division {
    /// Layers of the image before, in its order.
    kept: Layers,
    /// The paths that are in none of them.
    rest: Vec<usize>,
    /// How many layers these get.
    count: usize,
}

impl Division {
    /// The rest gets all layers that are left, and at least half as many as are its by its share
    /// of the bytes: the smallest layers of the image before give way to that.
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

/// The layers of the image before that hold nothing but what belongs in the new one.
fn usable(closure: &Closure, image: &[usize], previous: &Layers) -> Layers {
    let mut wanted: HashSet<&str> = image.iter().map(|&n| closure.paths[n].as_str()).collect();
    let mut take = |layer: &&Vec<String>| {
        let whole = !layer.is_empty() && layer.iter().all(|path| wanted.contains(path.as_str()));
        // A path that stands in two layers counts for the first.
        whole && layer.iter().all(|path| wanted.remove(path.as_str()))
    };
    previous.iter().filter(|layer| take(layer)).cloned().collect()
}
