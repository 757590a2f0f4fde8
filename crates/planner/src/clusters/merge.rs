//! Merges clusters in pairs, cheapest pairs first.

use super::cluster::Cluster;
use crate::churn::Churn;

/// Merges clusters until at most `count` are left.
pub(super) fn down_to(count: usize, clusters: Vec<Cluster>, churn: &Churn) -> Vec<Cluster> {
    let surplus = clusters.len().saturating_sub(count);
    if surplus == 0 {
        return clusters;
    }
    let mut merging = Merging::new(clusters, churn);
    for _ in 0..surplus {
        merging.step(churn);
    }
    merging.clusters.into_iter().flatten().collect()
}

/// The cluster that is cheapest to merge a given cluster with.
#[derive(Clone, Copy)]
struct Partner {
    /// The additional cost of having both in one cluster.
    cost: f64,
    number: usize,
    /// Set if the partner has changed: no other cluster costs less than `cost`, but it is unknown
    /// whether any costs as little.
    stale: bool,
}

struct Merging {
    /// `None` for clusters that were merged into others.
    clusters: Vec<Option<Cluster>>,
    /// The cost of merging two clusters, in the row of the one with the larger number.
    pairs: Vec<Vec<f64>>,
    partners: Vec<Partner>,
}

impl Merging {
    fn new(clusters: Vec<Cluster>, churn: &Churn) -> Self {
        let row = |number: usize| {
            let cost = |other: &Cluster| cost_of_merging(&clusters[number], other, churn);
            clusters[..number].iter().map(cost).collect()
        };
        let pairs = (0..clusters.len()).map(row).collect();
        let clusters = clusters.into_iter().map(Some).collect();
        let mut merging = Self { clusters, pairs, partners: Vec::new() };
        merging.partners =
            (0..merging.clusters.len()).map(|number| merging.find_partner(number)).collect();
        merging
    }

    fn numbers(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.clusters.len()).filter(|&number| self.clusters[number].is_some())
    }

    fn find_partner(&self, number: usize) -> Partner {
        let none = Partner { cost: f64::INFINITY, number, stale: false };
        self.numbers().filter(|&other| other != number).fold(none, |best, other| {
            let cost = self.pairs[number.max(other)][number.min(other)];
            if cost < best.cost { Partner { cost, number: other, stale: false } } else { best }
        })
    }

    /// Merges the cheapest pair.
    fn step(&mut self, churn: &Churn) {
        let Some(number) = self.cheapest() else { return };
        let partner = self.partners[number].number;
        let (kept, gone) = (number.min(partner), number.max(partner));
        let Some(merged) = self.clusters[gone].take() else { return };
        let Some(cluster) = &mut self.clusters[kept] else { return };
        cluster.absorb(merged, churn);
        self.compare_again(kept, gone, churn);
    }

    /// The first cluster whose partner costs the least.
    fn cheapest(&mut self) -> Option<usize> {
        loop {
            let by_cost =
                |&a: &usize, &b: &usize| self.partners[a].cost.total_cmp(&self.partners[b].cost);
            let number = self.numbers().min_by(by_cost)?;
            if !self.partners[number].stale {
                return Some(number);
            }
            self.partners[number] = self.find_partner(number);
        }
    }

    /// Updates the cost of merging each other cluster with one that has grown.
    fn compare_again(&mut self, grown: usize, gone: usize, churn: &Churn) {
        let others: Vec<usize> = self.numbers().filter(|&other| other != grown).collect();
        for other in others {
            let (low, high) = (grown.min(other), grown.max(other));
            let (Some(first), Some(second)) = (&self.clusters[high], &self.clusters[low]) else {
                continue;
            };
            let cost = cost_of_merging(first, second, churn);
            self.pairs[high][low] = cost;
            let partner = &mut self.partners[other];
            if cost <= partner.cost {
                *partner = Partner { cost, number: grown, stale: false };
            } else if partner.number == grown || partner.number == gone {
                partner.stale = true;
            }
        }
        self.partners[grown] = self.find_partner(grown);
    }
}

fn cost_of_merging(one: &Cluster, other: &Cluster, churn: &Churn) -> f64 {
    one.cost_with(other, churn) - (one.cost + other.cost)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::graph::{Closure, Node};

    /// A pseudorandom closure of 60 paths, whose sizes span six orders of magnitude.
    fn closure() -> Closure {
        let mut state = 7_u64;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % below
        };
        let path = |number: u64| format!("/nix/store/0-p{number}");
        let nodes = (0..60).map(|number| {
            let count = if number == 0 { 0 } else { random(5) };
            Node {
                path: path(number),
                nar_size: (1000 + random(1000)) << random(20),
                references: (0..count).map(|_| path(random(number))).collect(),
            }
        });
        Closure::new(nodes.collect()).unwrap()
    }

    /// Instead of keeping partners from step to step, this compares all pairs in each step.
    #[test]
    fn each_step_merges_the_pair_that_costs_the_least() {
        let closure = closure();
        let churn = Churn::new(&closure, &BTreeSet::new(), &BTreeSet::new()).unwrap();
        let single = (0..60).map(|number| Cluster::new(&closure, &churn, vec![number]));
        let mut merging = Merging::new(single.collect(), &churn);
        for left in (2..=60).rev() {
            let there: Vec<&Cluster> = merging.clusters.iter().flatten().collect();
            assert_eq!(there.len(), left);
            let pairs = (0..left).flat_map(|a| (0..a).map(move |b| (a, b)));
            let costs = pairs.map(|(a, b)| {
                let members = [there[a].members.clone(), there[b].members.clone()].concat();
                let apart = there[a].cost + there[b].cost;
                Cluster::new(&closure, &churn, members).cost - apart
            });
            let least = costs.fold(f64::INFINITY, f64::min);
            let cheapest = merging.cheapest().unwrap();
            let found = merging.partners[cheapest].cost;
            assert!((found - least).abs() <= 1e-9 * least.abs().max(1.0), "{found} for {least}");
            merging.step(&churn);
        }
        assert_eq!(merging.clusters.iter().flatten().next().unwrap().members.len(), 60);
    }
}
