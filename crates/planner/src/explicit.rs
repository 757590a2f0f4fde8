//! Layers specified by the image's author: each contains the closure of some paths, except for
//! paths that a lower layer contains.

use std::collections::{BTreeSet, HashSet};

use super::Layers;
use super::auto::name_and_hash;
use super::graph::Node;

/// A layer that the image's author specified.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// The closure of everything that it should contain.
    pub closure: Vec<Node>,
    /// Paths that it contains even if they are also in `copied`.
    pub kept: Vec<String>,
    /// Paths whose files are copied into the image's root. They are only added as store paths if
    /// something refers to them.
    pub copied: Vec<String>,
}

/// The store paths of these layers, lowest first. The list is empty for a layer without store
/// paths.
pub fn layers(wanted: &[Wanted]) -> Layers {
    let mut below = HashSet::new();
    let layer = |wanted: &Wanted| {
        let copied = copied_alone(&wanted.closure, &wanted.copied);
        let mut paths: Vec<_> = wanted
            .closure
            .iter()
            .map(|node| &node.path)
            .filter(|path| !copied.contains(*path) || wanted.kept.contains(path))
            .filter(|path| below.insert((*path).clone()))
            .cloned()
            .collect();
        paths.sort_unstable_by(|a, b| name_and_hash(a).cmp(&name_and_hash(b)));
        paths
    };
    wanted.iter().map(layer).collect()
}

/// The copied paths that nothing in the closure refers to, not even themselves.
pub fn copied_alone(closure: &[Node], copied: &[String]) -> BTreeSet<String> {
    let referred: HashSet<_> = closure.iter().flat_map(|node| &node.references).collect();
    copied.iter().filter(|path| !referred.contains(path)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closure(nodes: &[(&str, &[&str])]) -> Vec<Node> {
        let node = |(path, references): &(&str, &[&str])| Node {
            path: format!("/s/{path}"),
            nar_size: 8,
            references: references.iter().map(|path| format!("/s/{path}")).collect(),
        };
        nodes.iter().map(node).collect()
    }

    fn paths(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| format!("/s/{name}")).collect()
    }

    #[test]
    fn no_path_is_in_two_layers_and_each_is_sorted_by_name() {
        let libraries = closure(&[("1-b", &[]), ("2-a", &["1-b"]), ("0-b", &[])]);
        let program = closure(&[("1-b", &[]), ("3-c", &["1-b", "3-c"])]);
        let wanted =
            [libraries, program, Vec::new()].map(|closure| Wanted { closure, ..Wanted::default() });
        let expected = [paths(&["2-a", "0-b", "1-b"]), paths(&["3-c"]), vec![]];
        assert_eq!(layers(&wanted), expected);
    }

    #[test]
    fn what_is_copied_is_a_store_path_only_where_something_needs_it() {
        let nodes: &[(&str, &[&str])] =
            &[("1-root", &["2-lib"]), ("2-lib", &[]), ("3-self", &["3-self"]), ("4-kept", &[])];
        let copied = paths(&["1-root", "2-lib", "3-self", "4-kept"]);
        let wanted = Wanted { closure: closure(nodes), kept: paths(&["4-kept"]), copied };
        assert_eq!(layers(&[wanted]), [paths(&["4-kept", "2-lib", "3-self"])]);
    }
}
