//! Moves single paths to cheaper clusters.

use super::cluster::{Cluster, expected, rounded_size};
use crate::churn::Churn;
use crate::graph::Closure;

/// Moves each path, once, to the cluster where it costs the least, and returns the members of the
/// clusters. No cluster becomes empty.
pub(super) fn places(
    closure: &Closure,
    churn: &Churn,
    paths: &[usize],
    clusters: &[Cluster],
) -> Vec<Vec<usize>> {
    let mut homes = vec![0; closure.paths.len()];
    for (home, cluster) in clusters.iter().enumerate() {
        for &number in &cluster.members {
            homes[number] = home;
        }
    }
    let mut places: Vec<Place> =
        clusters.iter().map(|cluster| Place::new(closure, churn, cluster)).collect();
    for &number in paths {
        let from = homes[number];
        if places[from].members == 1 {
            continue;
        }
        let size = rounded_size(closure.nar_sizes[number]);
        let added = |to: usize| (to, places[to].added(number, size, churn));
        let others = (0..places.len()).filter(|&to| to != from).map(added);
        // A difference in the last digits is no reason to move.
        let stay = (from, places[from].saved(number, size, churn) * (1.0 - 1e-6));
        let (to, _) = others.fold(stay, |best, next| if next.1 < best.1 { next } else { best });
        if to != from {
            places[from].give(number, size, churn);
            places[to].take(number, size, churn);
            homes[number] = to;
        }
    }
    let mut members = vec![Vec::new(); places.len()];
    for &number in paths {
        members[homes[number]].push(number);
    }
    members
}

/// A cluster that paths can leave and enter.
struct Place {
    /// For each path of the closure, the number of members that are or need it.
    needing: Vec<u32>,
    members: usize,
    size: u128,
    rate: u64,
}

impl Place {
    fn new(closure: &Closure, churn: &Churn, cluster: &Cluster) -> Self {
        let needing = vec![0; closure.paths.len()];
        let mut place = Self { needing, members: 0, size: 0, rate: 0 };
        for &number in &cluster.members {
            place.take(number, rounded_size(closure.nar_sizes[number]), churn);
        }
        place
    }

    /// The rate of those paths in the path's closure that exactly `count` members need.
    fn rate_of(&self, number: usize, count: u32, churn: &Churn) -> u64 {
        let needed = churn.closures[number].iter().filter(|&other| self.needing[other] == count);
        needed.map(|other| churn.alone(other)).sum()
    }

    fn cost(&self) -> f64 {
        expected(self.size, self.rate)
    }

    /// The cost of adding a path.
    fn added(&self, number: usize, size: u128, churn: &Churn) -> f64 {
        let rate = self.rate + self.rate_of(number, 0, churn);
        expected(self.size + size, rate) - self.cost()
    }

    /// The savings of removing a member.
    fn saved(&self, number: usize, size: u128, churn: &Churn) -> f64 {
        let rate = self.rate - self.rate_of(number, 1, churn);
        self.cost() - expected(self.size - size, rate)
    }

    fn take(&mut self, number: usize, size: u128, churn: &Churn) {
        self.rate += self.rate_of(number, 0, churn);
        churn.closures[number].iter().for_each(|other| self.needing[other] += 1);
        self.size += size;
        self.members += 1;
    }

    fn give(&mut self, number: usize, size: u128, churn: &Churn) {
        self.rate -= self.rate_of(number, 1, churn);
        churn.closures[number].iter().for_each(|other| self.needing[other] -= 1);
        self.size -= size;
        self.members -= 1;
    }
}
