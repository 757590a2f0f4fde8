//! The current default layout of nixpkgs: the largest paths get a layer each.
//!
//! The largest path becomes the head of a layer, together with everything that only it needs. Then
//! the second largest does so, and so on until another head would make too many layers. Paths that
//! several heads need go into a layer for exactly that group of heads. So a large path forms a
//! layer that many images share, and each path is in a layer with others that occur together with
//! it.

use std::collections::{BTreeSet, HashMap};
use std::num::NonZeroUsize;

use super::Layers;
use super::cpython::{hash_frozenset, hash_str, set_order};
use super::edges::Edges;
use super::graph::Closure;

/// Splits a closure into at most `limit` layers. The layer with the smallest closure comes first.
///
/// As in nixpkgs, excluded paths count while the layers are formed and are only removed at the end,
/// so there may be fewer layers than the limit allows.
pub fn layers(closure: &Closure, limit: NonZeroUsize, excluded: &BTreeSet<String>) -> Layers {
    let groups = split(closure, limit.get());
    let layers = in_order(closure, &groups).into_iter().map(|members| {
        let paths = members.into_iter().map(|number| &closure.paths[number]);
        let mut paths: Vec<&String> = paths.filter(|path| !excluded.contains(*path)).collect();
        paths.sort_unstable_by_key(|path| name_and_hash(path));
        paths.into_iter().cloned().collect()
    });
    layers.filter(|paths: &Vec<String>| !paths.is_empty()).collect()
}

/// The sort key of a path: its name, then the part before it, which contains the hash.
///
/// nixpkgs' program fails for a path without `-`; here it is treated as one without a name.
pub(super) fn name_and_hash(path: &str) -> (&str, &str) {
    path.split_once('-').map_or(("", path), |(before, name)| (name, before))
}

/// The assignment of paths to layers: paths needed by the same group of heads share one.
struct Groups {
    /// The heads of each group, in ascending order. Some groups have no members.
    heads: Vec<Vec<usize>>,
    /// The group with the given heads.
    numbers: HashMap<Vec<usize>, usize>,
    /// The group of each path.
    of: Vec<usize>,
}

/// Adds heads, largest first, as long as there are not too many layers.
fn split(closure: &Closure, limit: usize) -> Groups {
    let count = closure.paths.len();
    let mut groups =
        Groups { heads: vec![vec![]], numbers: HashMap::from([(vec![], 0)]), of: vec![0; count] };
    let users = closure.references.reversed();
    let mut by_size: Vec<usize> = (0..count).collect();
    by_size.sort_by_key(|&number| closure.nar_sizes[number]);
    // For each group, the last head for which it was counted.
    let mut counted_at = Vec::new();
    // Of paths with equal sizes, the last one comes first.
    for head in by_size.into_iter().rev() {
        let of = groups.with_head(head, &closure.references, &users);
        counted_at.resize(groups.heads.len(), None);
        let first_seen = |&&group: &&usize| counted_at[group].replace(head) != Some(head);
        if of.iter().filter(first_seen).count() > limit {
            break;
        }
        groups.of = of;
    }
    groups
}

impl Groups {
    /// The group of each path after another head is added.
    fn with_head(&mut self, head: usize, references: &Edges, users: &Edges) -> Vec<usize> {
        let mut needed = references.reach([head]);
        let mut needing = users.reach([head]);
        needed[head] = false;
        needing[head] = false;

        let mut of = self.of.clone();
        of[head] = self.number(vec![head]);
        // The new group of those members of a group that the head needs, which is the same for all
        // of them.
        let mut moves: HashMap<usize, usize> = HashMap::new();
        for path in (0..of.len()).filter(|&path| needed[path]) {
            let group = self.of[path];
            let target = if let Some(&target) = moves.get(&group) {
                target
            } else {
                let target = self.joined(group, head, &needed, &needing);
                moves.insert(group, target);
                target
            };
            of[path] = target;
        }
        of
    }

    /// The group with the given heads and a new one.
    ///
    /// Heads that need the new one are dropped, since it implies them. In turn, the new head is not
    /// added if a head that it needs is already there.
    fn joined(&mut self, group: usize, head: usize, needed: &[bool], needing: &[bool]) -> usize {
        let mut heads: Vec<usize> =
            self.heads[group].iter().copied().filter(|&other| !needing[other]).collect();
        if !heads.iter().any(|&other| needed[other]) {
            let place = heads.partition_point(|&other| other < head);
            heads.insert(place, head);
        }
        self.number(heads)
    }

    fn number(&mut self, heads: Vec<usize>) -> usize {
        if let Some(&number) = self.numbers.get(&heads) {
            return number;
        }
        self.heads.push(heads.clone());
        self.numbers.insert(heads, self.heads.len() - 1);
        self.heads.len() - 1
    }
}

/// The members of each group. Groups with smaller closures come first, so that dependencies come
/// early.
fn in_order(closure: &Closure, groups: &Groups) -> Vec<Vec<usize>> {
    let mut members: Vec<Vec<usize>> = vec![vec![]; groups.heads.len()];
    let mut appearance = Vec::new();
    for (path, &group) in groups.of.iter().enumerate() {
        if members[group].is_empty() {
            appearance.push(group);
        }
        members[group].push(path);
    }

    // nixpkgs stores the groups in a Python set; groups with equal closure sizes are in the set's
    // order.
    let path_hashes: Vec<u64> = closure.paths.iter().map(|path| hash_str(path)).collect();
    let group_hash =
        |&group: &usize| hash_frozenset(groups.heads[group].iter().map(|&head| path_hashes[head]));
    let hashes: Vec<u64> = appearance.iter().map(group_hash).collect();
    let ordered = set_order(&hashes).into_iter().map(|place| appearance[place]);

    let mut layers: Vec<(u128, Vec<usize>)> = ordered
        .map(|group| {
            let members = std::mem::take(&mut members[group]);
            (closure_size(closure, &members), members)
        })
        .collect();
    layers.sort_by_key(|&(size, _)| size);
    layers.into_iter().map(|(_, members)| members).collect()
}

fn closure_size(closure: &Closure, members: &[usize]) -> u128 {
    let reached = closure.references.reach(members.iter().copied());
    let sizes = closure.nar_sizes.iter().zip(reached);
    sizes.filter(|&(_, reached)| reached).map(|(&size, _)| u128::from(size)).sum()
}

#[cfg(test)]
mod tests {
    use super::super::graph::Node;
    use super::*;

    fn closure(nodes: &[(&str, u64, &[&str])]) -> Closure {
        let node = |&(path, nar_size, references): &(&str, u64, &[&str])| Node {
            path: format!("/nix/store/0-{path}"),
            nar_size,
            references: references.iter().map(|name| format!("/nix/store/0-{name}")).collect(),
        };
        Closure::new(nodes.iter().map(node).collect()).unwrap()
    }

    /// The layers, formatted as `a b | c`.
    fn written(closure: &Closure, limit: usize, excluded: &[&str]) -> String {
        let excluded = excluded.iter().map(|name| format!("/nix/store/0-{name}")).collect();
        let layers = layers(closure, NonZeroUsize::new(limit).unwrap(), &excluded);
        let layers: Vec<String> = layers.iter().map(|layer| layer.join(" ")).collect();
        layers.join(" | ").replace("/nix/store/0-", "")
    }

    #[test]
    fn a_head_takes_along_what_only_it_needs() {
        // Two programs, each with its own library, and both need the C library.
        let closure = closure(&[
            ("libc", 50, &["libc"]),
            ("ssl", 10, &["libc"]),
            ("xml", 11, &["libc"]),
            ("curl", 200, &["curl", "ssl", "libc"]),
            ("python", 300, &["xml", "libc"]),
        ]);
        let cases = [
            (1, "curl libc python ssl xml"),
            // The only head, python, takes libc along: curl, which needs it too, is not a head yet.
            (2, "curl ssl | libc python xml"),
            (3, "libc | curl ssl | python xml"),
            // The next head is libc, which changes nothing; then xml.
            (4, "libc | xml | curl ssl | python"),
            (5, "libc | ssl | xml | curl | python"),
            (99, "libc | ssl | xml | curl | python"),
        ];
        for (limit, expected) in cases {
            assert_eq!(written(&closure, limit, &[]), expected, "limit {limit}");
        }
    }

    #[test]
    fn excluded_paths_are_left_out_at_the_end() {
        let closure = closure(&[("libc", 50, &[]), ("app", 20, &["libc"]), ("conf", 1, &["app"])]);
        assert_eq!(written(&closure, 3, &[]), "libc | app | conf");
        assert_eq!(written(&closure, 3, &["conf"]), "libc | app");
        // The layer of `conf` was counted, so libc and app still share one.
        assert_eq!(written(&closure, 1, &["conf"]), "app libc");
    }

    #[test]
    fn equal_closures_stand_in_the_order_of_pythons_set() {
        // As printed by Python 3.11, which nixpkgs runs with PYTHONHASHSEED=0.
        let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
        let paths = names.map(|name| (name, 120, [].as_slice()));
        assert_eq!(written(&closure(&paths), 10, &[]), "e | d | c | j | a | i | h | b | f | g");
    }

    #[test]
    fn a_circle_and_a_path_without_name_do_no_harm() {
        let closure = closure(&[("a", 3, &["b"]), ("b", 2, &["a"]), ("c", 1, &["a"])]);
        for limit in 1..5 {
            let written = written(&closure, limit, &[]);
            assert_eq!(written.matches(['a', 'b', 'c']).count(), 3, "limit {limit}: {written}");
        }
        assert_eq!(name_and_hash("/no/name"), ("", "/no/name"));
    }
}
