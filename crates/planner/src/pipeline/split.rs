//! The steps that split a graph into named parts.

use super::super::edges::Edges;
use super::super::graph::Closure;
use super::PathSpec;
use super::subgraph::Subgraph;

/// The names of the parts, in order.
pub(super) const MAIN: &str = "main";
pub(super) const COMMON: &str = "common";
pub(super) const REST: &str = "rest";

/// Named parts of a graph. Each vertex is in exactly one of them.
pub(super) type Parts = Vec<(&'static str, Subgraph)>;

/// The direction in which `subcomponent_in` and `subcomponent_out` follow references.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// To everything that needs the paths.
    In,
    /// To everything that the paths need.
    Out,
}

/// Everything reachable from the paths, and the rest. Either may be empty.
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

/// The paths with what only they need, what others need too, and the rest. Empty parts are left
/// out.
pub(super) fn split_paths(graph: Subgraph, closure: &Closure, specs: &[PathSpec]) -> Parts {
    let targets = targets(&graph, closure, specs);
    if targets.is_empty() {
        return vec![(REST, graph)];
    }
    let is_target = graph.marked(&targets);
    let roots = graph.references.roots();
    // Everything in a graph with a single root is needed by that root.
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

/// Removes all references to the marked vertices, so that the resulting parts lack them too.
fn without_edges_into(graph: Subgraph, marked: &[bool]) -> Subgraph {
    let keep = |mut targets: Vec<usize>| {
        targets.retain(|&to| !marked[to]);
        targets
    };
    let references = Edges(graph.references.0.into_iter().map(keep).collect());
    Subgraph { references, ..graph }
}
