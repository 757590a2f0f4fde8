//! The older default layout of nixpkgs: the paths that most others need get a layer each.
//!
//! nixpkgs treats the closure as a tree, which contains a path once for every way to reach it, and
//! counts each path on the way up. The tree grows exponentially, but the count can be computed
//! without it: a path's popularity is the number of ways from a root to it, plus the number of ways
//! to each path that needs it, directly or indirectly.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use num_bigint::BigUint;

use super::Layers;
use super::edges::Edges;
use super::graph::{Closure, GraphError};

/// Gives the most popular paths a layer each and puts the rest into the last of `limit` layers.
///
/// Excluded paths are counted, then removed, which makes room for others.
pub fn layers(
    closure: &Closure,
    limit: NonZeroUsize,
    excluded: &BTreeSet<String>,
) -> Result<Layers, GraphError> {
    let names: Vec<&str> = closure.paths.iter().map(String::as_str).collect();
    let mut paths = by_popularity(&names, &closure.references)?
        .into_iter()
        .map(|number| closure.paths[number].clone())
        .filter(|path| !excluded.contains(path));

    let mut layers: Layers = paths.by_ref().take(limit.get() - 1).map(|path| vec![path]).collect();
    let rest: Vec<String> = paths.collect();
    if !rest.is_empty() {
        layers.push(rest);
    }
    Ok(layers)
}

/// The nodes of a graph, most popular first; ties are sorted by package name.
pub(super) fn by_popularity(names: &[&str], references: &Edges) -> Result<Vec<usize>, GraphError> {
    let users_first = references.users_first();
    let users_first = users_first.map_err(|circle| GraphError::circle(&circle, |n| names[n]))?;
    let popularity = popularity(references, &users_first);
    let keys: Vec<String> = names.iter().map(|name| package_name(name)).collect();
    let mut order: Vec<usize> = (0..names.len()).collect();
    order.sort_by(|&a, &b| popularity[b].cmp(&popularity[a]).then_with(|| keys[a].cmp(&keys[b])));
    Ok(order)
}

/// The path with everything up to the first `-` moved to its end, so that it sorts by name.
fn package_name(path: &str) -> String {
    path.split_once('-').map_or_else(|| path.to_owned(), |(hash, name)| format!("{name}-{hash}"))
}

fn popularity(references: &Edges, users_first: &[usize]) -> Vec<BigUint> {
    let users = references.reversed();
    let mut ways: Vec<BigUint> = vec![BigUint::ZERO; users.0.len()];
    for &node in users_first {
        ways[node] = match users.0[node].as_slice() {
            [] => BigUint::from(1_u8),
            users => users.iter().map(|&user| &ways[user]).sum(),
        };
    }
    let total = |node| {
        let needing = users.reach([node]);
        ways.iter().zip(needing).filter(|&(_, needing)| needing).map(|(ways, _)| ways).sum()
    };
    (0..users.0.len()).map(total).collect()
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
    fn counts_the_ways() {
        // Counted by hand in the tree: d is below a, below b and below c (which is below a and
        // below b).
        let closure = closure(&[("a", "b c d"), ("b", "c d"), ("c", "d"), ("d", "d"), ("e", "d")]);
        let order = closure.references.users_first().unwrap();
        let counts = popularity(&closure.references, &order);
        let expected = [1_u8, 2, 4, 10, 1].map(BigUint::from);
        assert_eq!(counts, expected);
    }

    #[test]
    fn counts_outgrow_machine_words() {
        // Each path refers to all later ones, so the number of ways doubles with each path.
        let names: Vec<String> = (0..300).map(|number| format!("x-{number:03}")).collect();
        let nodes: Vec<(&str, String)> = (0..names.len())
            .map(|number| (names[number].as_str(), names[number + 1..].join(" ")))
            .collect();
        let nodes: Vec<_> = nodes.iter().map(|(path, refs)| (*path, refs.as_str())).collect();
        let layers =
            layers(&closure(&nodes), NonZeroUsize::new(300).unwrap(), &BTreeSet::new()).unwrap();
        let expected: Vec<_> = names.into_iter().rev().map(|name| vec![name]).collect();
        assert_eq!(layers, expected);
    }

    #[test]
    fn cuts_the_order_into_layers() {
        let closure = closure(&[("h-a", "i-b j-c"), ("i-b", "j-c"), ("j-c", ""), ("0-z", "")]);
        let cases = [
            (1, "", "j-c i-b h-a 0-z"),
            (3, "", "j-c | i-b | h-a 0-z"),
            (4, "", "j-c | i-b | h-a | 0-z"),
            (9, "", "j-c | i-b | h-a | 0-z"),
            (2, "j-c", "i-b | h-a 0-z"),
        ];
        for (limit, excluded, expected) in cases {
            let excluded = BTreeSet::from([excluded.to_owned()]);
            let layers = layers(&closure, NonZeroUsize::new(limit).unwrap(), &excluded).unwrap();
            let written: Vec<String> = layers.iter().map(|layer| layer.join(" ")).collect();
            assert_eq!(written.join(" | "), expected, "limit {limit}");
        }
    }

    #[test]
    fn a_circle_is_an_error() {
        let closure = closure(&[("a", "b"), ("b", "a")]);
        let error = layers(&closure, NonZeroUsize::MIN, &BTreeSet::new()).unwrap_err();
        assert!(matches!(error, GraphError::Circle { .. }), "{error}");
    }

    #[test]
    fn a_deep_closure_is_no_danger() {
        let names: Vec<String> = (0..3000).map(|number| format!("x-{number:05}")).collect();
        let nodes: Vec<_> = names.windows(2).map(|pair| (&*pair[0], &*pair[1])).collect();
        let nodes = [nodes, vec![(&*names[2999], "")]].concat();
        let layers =
            layers(&closure(&nodes), NonZeroUsize::new(2).unwrap(), &BTreeSet::new()).unwrap();
        assert_eq!(layers[0], ["x-02999"]);
    }
}
