//! Puts paths that are expected to change together into one layer.
//!
//! A layer is moved as a whole if anything in it changes. Its size times the probability of a
//! change is the number of bytes that an update is expected to move. At first each path is a
//! cluster of its own, which moves the least. Then the two clusters that are cheapest to merge are
//! merged, until there are few enough. Finally each path moves to the cluster where it costs the
//! least.

mod cluster;
mod merge;
mod refine;

use std::cmp::Reverse;

use self::cluster::Cluster;
use super::churn::Churn;
use super::graph::Closure;
use super::sets::Set;

/// The maximum number of clusters to compare in pairs. If there are more paths, they are grouped
/// first, as the cost of each pair takes 8 bytes.
const COMPARED: usize = 1000;

/// Puts paths into at most `count` clusters.
///
/// Ties are broken by the order of `paths`.
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

/// A group for each path or, if there are more than `most`, for each of the largest. A smaller path
/// then joins the large path with the smallest closure that needs it; those that no large path
/// needs form one more group.
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
