//! Paths that are expected to change together share a layer.
//!
//! A layer is moved whole when anything in it changes. Its size and the chance that it changes make
//! up how many bytes an update is expected to move. At first each path is a cluster of its own,
//! which moves the least. Then the two that cost the least together are merged, again and again,
//! until there are few enough. At last each path goes to the cluster where it costs the least.

mod cluster;
mod merge;
mod refine;

use std::cmp::Reverse;

use self::cluster::Cluster;
use super::churn::Churn;
use super::graph::Closure;
use super::sets::Set;

/// Up to how many clusters are compared each with each. More paths than that are grouped first, as
/// what it costs to merge a pair is kept, in 8 bytes for each pair.
const COMPARED: usize = 1000;

/// Puts paths into at most `count` clusters.
///
/// Of equals, the first one in `paths` is taken first.
#[must_use]
pub fn clusters(
    closure: &Closure,
    churn: &Churn,
    paths: &[usize],
    count: usize,
) -> Vec<Vec<usize>> {
    let groups = groups(closure, churn, paths, count.max(COMPARED));
    let single = groups.into_iter().map(|members| Cluster::new(closure, churn, members));
    let clusters = merge::down_to(count.max(1), single.collect(), churn);
    refine::places(closure, churn, paths, &clusters)
}

/// A group for each path or, if there are more paths than `most`, for each of the largest: a smaller
/// path goes along with the large one of the smallest closure that needs it, and what none of them
/// needs stays together.
fn groups(closure: &Closure, churn: &Churn, paths: &[usize], most: usize) -> Vec<Vec<usize>> {
    let mut by_size = paths.to_vec();
    by_size.sort_by_key(|&number| Reverse(closure.nar_sizes[number]));
    let (large, small) = by_size.split_at(paths.len().min(most));
    let mut groups: Vec<Vec<usize>> = large.iter().map(|&number| vec![number]).collect();
    let mut waiting = Set::new(closure.paths.len());
    for &number in small {
        waiting.insert(number);
    }
    groups.sort_by_cached_key(|group| churn.closures[group[0]].iter().count());
    for group in &mut groups {
        let taken: Vec<usize> = churn.closures[group[0]].intersection(&waiting).collect();
        for &number in &taken {
            waiting.remove(number);
        }
        group.extend(taken);
    }
    let left: Vec<usize> = waiting.iter().collect();
    groups.extend((!left.is_empty()).then_some(left));
    groups
}
