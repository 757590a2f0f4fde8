//! Estimates how often paths change.
//!
//! When an image is built, only the graph is known, so the estimate is based on it. A path that
//! many others need is a library that seldom changes, since a change rebuilds everything that
//! depends on it. A path that nothing needs is the purpose of the image and changes with every
//! release. A path's store path also changes with everything in its closure.
//!
//! Rates are integers, so that sums are the same in any order and on every machine.

use std::collections::{BTreeSet, HashSet};

use super::Layers;
use super::graph::{Closure, GraphError};
use super::sets::{self, Set};

/// The rate of one change per update on average.
pub const ONE: u64 = 1 << 40;

/// The base rate: a path that n others need has this rate divided by 1 + n.
const RATE: u64 = ONE / 20;
/// The factor for a path that nothing refers to.
const ROOT: u64 = 8;
/// The rate of the user's own paths.
const OWN: u64 = ONE / 2;
/// The factor for a path that has just changed by itself.
const CHANGED: u64 = 16;

/// The rates of change of a closure's paths.
#[derive(Debug)]
pub struct Churn {
    /// The closure of each path, including itself: a change of any path in it changes this one.
    pub closures: Vec<Set>,
    /// How often each path changes by itself, in units of [`ONE`].
    rates: Vec<u64>,
}

impl Churn {
    /// Estimates the rates. Excluded paths have a rate of zero, and do not count as users of
    /// others.
    ///
    /// Fails if paths refer to each other in a circle.
    pub fn new(
        closure: &Closure,
        excluded: &BTreeSet<String>,
        own: &BTreeSet<usize>,
    ) -> Result<Self, GraphError> {
        let closures = sets::closures(&closure.references)
            .map_err(|circle| GraphError::circle(&circle, |number| &closure.paths[number]))?;
        let counts = |&number: &usize| !excluded.contains(&closure.paths[number]);
        let mut users = vec![0_u64; closure.paths.len()];
        for number in (0..users.len()).filter(counts) {
            closures[number].iter().filter(|&needed| needed != number).for_each(|needed| {
                users[needed] += 1;
            });
        }
        let rate = |number: usize| match users[number] {
            _ if !counts(&number) => 0,
            _ if own.contains(&number) => OWN,
            0 => RATE * ROOT,
            users => RATE / (1 + users),
        };
        Ok(Self { rates: (0..users.len()).map(rate).collect(), closures })
    }

    /// How often anything in `closure` changes, in units of [`ONE`].
    pub fn of(&self, closure: &Set) -> u64 {
        closure.iter().map(|number| self.rates[number]).sum()
    }

    /// The rate that `closure` adds to that of `known`.
    pub fn added(&self, closure: &Set, known: &Set) -> u64 {
        closure.difference(known).map(|number| self.rates[number]).sum()
    }

    /// Raises the rates of the paths that have changed since the previous image other than because
    /// of their dependencies, as these are likely to change again.
    pub fn learn(&mut self, closure: &Closure, before: &Layers) {
        let before: HashSet<&str> = before.iter().flatten().map(String::as_str).collect();
        let was_there = |number: usize| before.contains(closure.paths[number].as_str());
        let changed = |&number: &usize| {
            !was_there(number) && closure.references.0[number].iter().all(|&n| was_there(n))
        };
        // Excluded paths have a rate of zero, which stays zero.
        for number in (0..self.rates.len()).filter(changed) {
            self.rates[number] = (self.rates[number] * CHANGED).min(ONE);
        }
    }

    /// How often one path changes by itself.
    pub fn alone(&self, number: usize) -> u64 {
        self.rates[number]
    }

    /// The union of some paths' closures.
    pub fn closure_of(&self, members: &[usize]) -> Set {
        let mut all = Set::new(self.rates.len());
        for &member in members {
            all.unite(&self.closures[member]);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::super::graph::Node;
    use super::*;

    fn closure(nodes: &[(&str, &str)]) -> Closure {
        let node = |&(path, references): &(&str, &str)| Node {
            path: path.to_owned(),
            nar_size: 8,
            references: references.split_whitespace().map(str::to_owned).collect(),
        };
        Closure::new(nodes.iter().map(node).collect()).unwrap()
    }

    #[test]
    fn what_many_need_changes_seldom() {
        // `files` is the image's own; it does not make `app` a library.
        let nodes = [("libc", ""), ("ssl", "libc"), ("app", "ssl libc"), ("files", "app")];
        let closure = closure(&nodes);
        let excluded = BTreeSet::from(["files".to_owned()]);
        let mut churn = Churn::new(&closure, &excluded, &BTreeSet::new()).unwrap();
        assert_eq!(churn.rates, [RATE / 3, RATE / 2, 8 * RATE, 0]);
        let app = churn.closure_of(&[2]);
        assert_eq!(churn.of(&app), RATE / 3 + RATE / 2 + 8 * RATE);
        assert_eq!(churn.added(&app, &churn.closure_of(&[1])), 8 * RATE);

        let own = BTreeSet::from([0]);
        assert_eq!(Churn::new(&closure, &excluded, &own).unwrap().alone(0), OWN);

        // Both `ssl` and `app` have changed, but `app` only because of `ssl`.
        churn.learn(&closure, &vec![vec!["libc".to_owned()], vec!["old-ssl".to_owned()]]);
        assert_eq!(churn.rates, [RATE / 3, RATE / 2 * CHANGED, 8 * RATE, 0]);
    }

    #[test]
    fn a_circle_is_an_error() {
        let closure = closure(&[("a", "b"), ("b", "a")]);
        let error = Churn::new(&closure, &BTreeSet::new(), &BTreeSet::new()).unwrap_err();
        assert!(matches!(error, GraphError::Circle { .. }), "{error}");
    }
}
