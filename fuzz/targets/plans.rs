//! Closure graphs, pipelines and series: each path of a closure is in one layer.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use planner::graph::{self, Closure, Node};
use planner::pipeline::{self, Pipeline};
use planner::series::{self, Contents};
use planner::{Layers, auto, compare, delta, ordered, popularity, simulate};

use super::parts;

/// Larger graphs take longer, and find nothing more.
const MOST_NODES: usize = 60;

/// All layouts of a graph.
pub fn plan(input: &[u8]) {
    let Some(nodes) = nodes(input) else { return };
    let limit = NonZeroUsize::new(1 + input.len() % 9).unwrap();
    let excluded: BTreeSet<String> = nodes.iter().take(1).map(|node| node.path.clone()).collect();
    let Ok(closure) = Closure::new(nodes) else { return };
    let own = BTreeSet::new();
    let layers = auto::layers(&closure, limit, &excluded);
    check(&closure, &layers, limit, &excluded);
    if closure.check_acyclic().is_err() {
        return;
    }
    let planned = popularity::layers(&closure, limit, &excluded).unwrap();
    check(&closure, &planned, limit, &excluded);
    let planned = ordered::layers(&closure, limit, &excluded, &own).unwrap();
    check(&closure, &planned, limit, &excluded);
    let again = delta::layers(&closure, limit, &excluded, &own, &planned).unwrap();
    check(&closure, &again, limit, &excluded);
    let moved = compare::layers(&closure, &again, &planned);
    assert_eq!(moved.len(), again.len());
    let _ = graph::nar_hashes(input, &[], layers.iter().flatten());
}

/// The layers that a pipeline makes of a graph.
pub fn pipeline(input: &[u8]) {
    let parts = parts::split(input);
    let &[steps, graph] = &*parts else { return };
    let Ok(pipeline) = Pipeline::parse(steps) else { return };
    let Some(nodes) = nodes(graph) else { return };
    let known: BTreeSet<_> = nodes.iter().map(|node| node.path.clone()).collect();
    let Ok(layers) = pipeline::layers(nodes, &pipeline, &BTreeSet::new()) else { return };
    let mut seen = BTreeSet::new();
    for path in layers.iter().flatten() {
        assert!(known.contains(path) && seen.insert(path), "{path}");
    }
    assert!(layers.iter().all(|layer| !layer.is_empty()));
}

/// Series, and what each update moves.
pub fn series(input: &[u8]) {
    let all = match series::parse(input) {
        Ok(Contents::Series(all)) => all,
        Ok(Contents::Image(_)) | Err(_) => return,
    };
    let limit = NonZeroUsize::new(5).unwrap();
    let none = BTreeSet::new();
    for series in all.iter().take(3) {
        if series.images.len() > 5 || series.images.iter().any(|i| i.nodes.len() > MOST_NODES) {
            continue;
        }
        let moved = simulate::run(series, |closure, _| Ok(auto::layers(closure, limit, &none)));
        if let Ok(moved) = moved {
            assert_eq!(moved.len(), series.images.len().saturating_sub(1));
            assert!(moved.iter().all(|moved| moved.pulled <= moved.image && moved.layers <= 5));
        }
    }
}

fn nodes(input: &[u8]) -> Option<Vec<Node>> {
    let nodes = graph::parse(input).ok()?;
    (nodes.len() <= MOST_NODES).then_some(nodes)
}

/// Checks that the layers have each path once, except excluded ones.
fn check(closure: &Closure, layers: &Layers, limit: NonZeroUsize, excluded: &BTreeSet<String>) {
    assert!(layers.len() <= limit.get(), "{layers:?}");
    assert!(layers.iter().all(|layer| !layer.is_empty()), "{layers:?}");
    let mut found: Vec<_> = layers.iter().flatten().collect();
    let mut expected: Vec<_> =
        closure.paths.iter().filter(|path| !excluded.contains(*path)).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected, "{layers:?}");
}
