//! Why store paths are in an image: what refers to them.

use std::collections::VecDeque;

use planner::edges::Edges;

use super::Contents;

/// The references between an image's store paths, and what follows from them.
///
/// Paths are identified by their index in [`Contents::paths`].
#[derive(Debug)]
pub struct Closure<'a> {
    contents: &'a Contents,
    /// The paths that each path refers to.
    uses: &'a Edges,
    /// The paths that refer to each path.
    users: Edges,
    /// The paths that no other path refers to.
    roots: Vec<usize>,
}

impl<'a> Closure<'a> {
    /// The closure of an image's paths, or `None` if their references are unknown.
    pub fn of(contents: &'a Contents) -> Option<Self> {
        let uses = contents.references.as_ref()?;
        let mut roots = uses.roots();
        // Nix makes no circles, but scanned contents may have some. A circle that nothing else
        // refers to is represented by its first path.
        let mut is_reached = uses.reach(roots.iter().copied());
        while let Some(next) = is_reached.iter().position(|is_reached| !is_reached) {
            roots.push(next);
            let more = uses.reach([next]);
            is_reached.iter_mut().zip(more).for_each(|(known, more)| *known |= more);
        }
        Some(Self { contents, uses, users: uses.reversed(), roots })
    }

    /// The paths that no other path refers to: those that were added to the image directly.
    pub fn roots(&self) -> &[usize] {
        &self.roots
    }

    /// The paths that this one refers to.
    pub fn uses(&self, path: usize) -> &[usize] {
        &self.uses.0[path]
    }

    /// The paths that refer to this one.
    pub fn users(&self, path: usize) -> &[usize] {
        &self.users.0[path]
    }

    /// The path and everything it refers to, directly or not.
    pub fn all_uses(&self, path: usize) -> Vec<usize> {
        reached(self.uses, path)
    }

    /// All paths that refer to this one, directly or not, without the path itself.
    pub fn all_users(&self, path: usize) -> Vec<usize> {
        let mut users = reached(&self.users, path);
        users.retain(|&user| user != path);
        users
    }

    /// Bytes of the path and of everything it refers to, directly or not.
    pub fn size(&self, path: usize) -> u64 {
        self.sum(&self.uses.reach([path]))
    }

    /// The path, and those that are in the image only because of it: without the path, nothing that
    /// stays would refer to them. The largest comes first.
    pub fn leaving(&self, path: usize) -> Vec<usize> {
        let mut without = self.uses.clone();
        without.0[path].clear();
        let roots = self.roots.iter().copied().filter(|&root| root != path);
        let stays = without.reach(roots);
        let mut leaving: Vec<_> =
            (0..stays.len()).filter(|&other| other == path || !stays[other]).collect();
        leaving.sort_by_key(|&other| std::cmp::Reverse(self.contents.paths[other].size));
        leaving
    }

    /// Bytes of the paths that [`Self::leaving`] returns.
    pub fn leaving_size(&self, path: usize) -> u64 {
        self.leaving(path).into_iter().map(|other| self.contents.paths[other].size).sum()
    }

    /// The shortest way from a root to the path, both included. Among several, the one whose paths
    /// come first.
    pub fn shortest_chain(&self, path: usize) -> Vec<usize> {
        let mut reached_from: Vec<Option<usize>> = vec![None; self.uses.0.len()];
        let mut waiting: VecDeque<usize> = VecDeque::new();
        for &root in &self.roots {
            reached_from[root] = Some(root);
            waiting.push_back(root);
        }
        while let Some(next) = waiting.pop_front() {
            if next == path {
                break;
            }
            for &target in &self.uses.0[next] {
                if reached_from[target].is_none() {
                    reached_from[target] = Some(next);
                    waiting.push_back(target);
                }
            }
        }
        let mut chain = vec![path];
        let mut at = path;
        while let Some(from) = reached_from[at].filter(|&from| from != at) {
            chain.push(from);
            at = from;
        }
        chain.reverse();
        chain
    }

    fn sum(&self, among: &[bool]) -> u64 {
        let paths = self.contents.paths.iter().zip(among);
        paths.filter(|(_, is_there)| **is_there).map(|(path, _)| path.size).sum()
    }
}

/// The indexes reachable from this one, in ascending order.
fn reached(edges: &Edges, from: usize) -> Vec<usize> {
    let reached = edges.reach([from]).into_iter().enumerate();
    reached.filter(|(_, is_reached)| *is_reached).map(|(place, _)| place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StorePath;
    use proptest::prelude::*;

    /// Paths of 1, 2, 4, … bytes with these references.
    fn contents(references: &[&[usize]]) -> Contents {
        let path = |place: usize| StorePath {
            path: format!("/nix/store/{}-p{place}", "a".repeat(32)),
            size: 1 << place,
            entries: 1,
            layer: 0,
        };
        Contents {
            name: "app:1".to_owned(),
            layers: Vec::new(),
            paths: (0..references.len()).map(path).collect(),
            references: Some(Edges(references.iter().map(|uses| uses.to_vec()).collect())),
            duplicates: None,
            hidden: 0,
        }
    }

    #[test]
    fn a_diamond_leaves_with_its_top_and_not_with_one_side() {
        // 0 -> 1, 2; both -> 3; 4 -> 3 too.
        let contents = contents(&[&[1, 2], &[3], &[3], &[], &[3]]);
        let closure = Closure::of(&contents).unwrap();
        assert_eq!(closure.roots(), [0, 4]);
        assert_eq!(closure.size(0), 0b1111);
        assert_eq!(closure.users(3), [1, 2, 4]);
        assert_eq!(closure.all_users(3), [0, 1, 2, 4]);
        assert_eq!(closure.all_uses(1), [1, 3]);
        assert_eq!(closure.leaving(1), [1]);
        assert_eq!(closure.leaving(0), [2, 1, 0]);
        assert_eq!(closure.leaving_size(3), 8);
        assert_eq!(closure.shortest_chain(3), [4, 3]);
        assert_eq!(closure.shortest_chain(2), [0, 2]);
        assert_eq!(closure.shortest_chain(4), [4]);
    }

    #[test]
    fn a_circle_has_a_root_too() {
        let contents = contents(&[&[1], &[2], &[1], &[4], &[3]]);
        let closure = Closure::of(&contents).unwrap();
        assert_eq!(closure.roots(), [0, 3]);
        assert_eq!(closure.shortest_chain(4), [3, 4]);
        assert_eq!(closure.leaving(3), [4, 3]);
    }

    proptest! {
        /// What leaves is, by definition, what a walk from the other roots does not reach.
        #[test]
        fn what_leaves_is_not_needed_by_what_stays(
            references in prop::collection::vec(prop::collection::vec(0_usize..12, 0..4), 1..12),
            path in 0_usize..12,
        ) {
            let count = references.len();
            let references: Vec<Vec<usize>> = references
                .into_iter()
                .enumerate()
                // References only point upwards, which rules out cycles.
                .map(|(own, uses)| uses.into_iter().filter(|&to| to > own && to < count).collect())
                .collect();
            let path = path % count;
            let slices: Vec<&[usize]> = references.iter().map(Vec::as_slice).collect();
            let contents = contents(&slices);
            let closure = Closure::of(&contents).unwrap();
            let leaving = closure.leaving(path);
            prop_assert!(leaving.contains(&path));
            for other in 0..count {
                let users = closure.users(other);
                if leaving.contains(&other) {
                    // Only the path itself is referred to by something that stays.
                    let needed = users.iter().any(|user| !leaving.contains(user));
                    prop_assert!(other == path || !needed);
                    prop_assert!(other == path || !users.is_empty());
                } else {
                    let needed = users.iter().any(|user| !leaving.contains(user));
                    prop_assert!(needed || users.is_empty());
                }
            }
            let chain = closure.shortest_chain(path);
            prop_assert!(closure.roots().contains(&chain[0]));
            prop_assert_eq!(chain.last(), Some(&path));
            for pair in chain.windows(2) {
                prop_assert!(closure.uses(pair[0]).contains(&pair[1]));
            }
        }
    }
}
