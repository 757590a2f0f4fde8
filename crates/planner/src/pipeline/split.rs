//! The steps that cut a graph into named parts.

use super::super::edges::Edges;
use super::super::graph::Closure;
use super::PathSpec;
use super::subgraph::Subgraph;

/// The names of the parts, in their order.
pub(super) const MAIN: &str = "main";
pub(super) const COMMON: &str = "common";
pub(super) const REST: &str = "rest";

/// Named parts of a graph. Together they hold each of its vertices once.
pub(super) type Parts = Vec<(&'static str, Subgraph)>;

/// Which way `subcomponent_in` and `subcomponent_out` go from the paths that they are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// To what needs the paths.
    In,
    /// To what the paths need.
    Out,
}

/// Everything that can be reached from the paths, and the rest. Either may be empty.
pub(super) fn subcomponent(
    graph: &Subgraph,
    closure: &Closure,
    paths: &[String],
    direction: Direction,
) -> Parts {
    let starts = graph.find(closure, paths);
    let reached = match direction {
        Direction::In => graph.references.reversed().reach(starts),
        Direction::Out => graph.references.reach(starts),
    };
    vec![(MAIN, graph.induced(&reached)), (REST, graph.without(&reached))]
}

/// The paths with what only they need, what others need as well, and the others. Parts that would
/// be empty are left out.
pub(super) fn split_paths(graph: Subgraph, closure: &Closure, specs: &[PathSpec]) -> Parts {
    let targets = targets(&graph, closure, specs);
    if targets.is_empty() {
        return vec![(REST, graph)];
    }
    let is_target = graph.marked(&targets);
    let roots = graph.references.roots();
    // A graph has nothing outside of what its only root needs.
    if let [root] = roots.as_slice()
        && is_target[*root]
    {
        return vec![(MAIN, graph)];
    }

    let split_off = graph.references.reach(targets);
    let cut = without_edges_into(graph, &is_target);
    let others = cut.references.reach(roots.into_iter().filter(|&root| !is_target[root]));

    let marked = |belongs: fn(bool, bool) -> bool| -> Vec<bool> {
        split_off.iter().zip(&others).map(|(&split, &other)| belongs(split, other)).collect()
    };
    let mut parts = vec![
        (MAIN, cut.induced(&marked(|split, other| split && !other))),
        (COMMON, cut.induced(&marked(|split, other| split && other))),
        (REST, cut.induced(&marked(|split, other| !split && other))),
    ];
    parts.retain(|(_, part)| !part.vertices.is_empty());
    parts
}

fn targets(graph: &Subgraph, closure: &Closure, specs: &[PathSpec]) -> Vec<usize> {
    let mut targets = Vec::new();
    for spec in specs {
        match spec {
            PathSpec::Path(path) => {
                targets.extend(graph.find(closure, std::slice::from_ref(path)));
            }
            PathSpec::ChildrenOf(paths) => {
                let parents = graph.find(closure, paths);
                targets.extend(parents.into_iter().flat_map(|parent| &graph.references.0[parent]));
            }
        }
    }
    targets
}

/// Forgets who refers to the marked vertices, in the parts that come of it as well.
fn without_edges_into(graph: Subgraph, marked: &[bool]) -> Subgraph {
    let keep = |mut targets: Vec<usize>| {
        targets.retain(|&to| !marked[to]);
        targets
    };
    let references = Edges(graph.references.0.into_iter().map(keep).collect());
    Subgraph { references, ..graph }
}
