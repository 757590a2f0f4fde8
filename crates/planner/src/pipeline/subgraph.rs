//! A part of the closure, on which the steps of a pipeline work.

use std::collections::HashMap;

use super::super::edges::Edges;
use super::super::graph::Closure;

/// Some paths of a closure, and the references between them that still count.
///
/// The vertices keep their order in every step; it is the order of the paths in a layer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Subgraph {
    /// The number of each vertex in the closure.
    pub(super) vertices: Vec<usize>,
    /// The references, as indices into `vertices`.
    pub(super) references: Edges,
}

impl Subgraph {
    /// The whole closure, smallest path first.
    pub(super) fn whole(closure: &Closure) -> Self {
        let mut vertices: Vec<usize> = (0..closure.paths.len()).collect();
        vertices.sort_by_key(|&number| closure.nar_sizes[number]);
        let mut places = vec![0; vertices.len()];
        for (place, &number) in vertices.iter().enumerate() {
            places[number] = place;
        }
        let references = vertices
            .iter()
            .map(|&number| closure.references.0[number].iter().map(|&to| places[to]).collect());
        Self { references: Edges(references.collect()), vertices }
    }

    /// A graph of one vertex.
    pub(super) fn single(number: usize) -> Self {
        Self { vertices: vec![number], references: Edges(vec![vec![]]) }
    }

    /// The marked vertices, with the references between them.
    pub(super) fn induced(&self, marked: &[bool]) -> Self {
        let mut places = vec![None; self.vertices.len()];
        let kept = || (0..self.vertices.len()).filter(|&vertex| marked[vertex]);
        for (place, vertex) in kept().enumerate() {
            places[vertex] = Some(place);
        }
        let references = kept()
            .map(|vertex| self.references.0[vertex].iter().filter_map(|&to| places[to]).collect());
        Self {
            references: Edges(references.collect()),
            vertices: kept().map(|vertex| self.vertices[vertex]).collect(),
        }
    }

    /// The unmarked vertices, with the references between them.
    pub(super) fn without(&self, marked: &[bool]) -> Self {
        let kept: Vec<bool> = marked.iter().map(|marked| !marked).collect();
        self.induced(&kept)
    }

    /// The vertices in chunks of `count`; the last one may be shorter.
    pub(super) fn chunks(&self, count: usize) -> Vec<Self> {
        let mut places = vec![(0, 0); self.vertices.len()];
        for (vertex, place) in places.iter_mut().enumerate() {
            *place = (vertex / count, vertex % count);
        }
        let vertices = self.vertices.chunks(count);
        let references = self.references.0.chunks(count);
        let chunk = |(chunk, (vertices, references)): (usize, (&[usize], &[Vec<usize>]))| {
            let inner = |targets: &Vec<usize>| {
                let targets = targets.iter().map(|&to| places[to]);
                targets.filter(|&(of, _)| of == chunk).map(|(_, place)| place).collect()
            };
            Self {
                vertices: vertices.to_vec(),
                references: Edges(references.iter().map(inner).collect()),
            }
        };
        vertices.zip(references).enumerate().map(chunk).collect()
    }

    /// The vertices of several graphs, without references between these.
    pub(super) fn merged(graphs: impl IntoIterator<Item = Self>) -> Self {
        let mut merged = Self::default();
        for graph in graphs {
            let offset = merged.vertices.len();
            merged.vertices.extend(graph.vertices);
            let references = graph.references.0.into_iter();
            merged.references.0.extend(
                references.map(|targets| targets.into_iter().map(|to| to + offset).collect()),
            );
        }
        merged
    }

    /// The vertices of those paths that are in the graph, in the order of `paths`.
    pub(super) fn find(&self, closure: &Closure, paths: &[String]) -> Vec<usize> {
        let vertices = self.vertices.iter().enumerate();
        let places: HashMap<usize, usize> =
            vertices.map(|(place, &number)| (number, place)).collect();
        let numbers = paths.iter().filter_map(|path| closure.number(path));
        numbers.filter_map(|number| places.get(&number).copied()).collect()
    }

    /// Marks the given vertices.
    pub(super) fn marked(&self, vertices: &[usize]) -> Vec<bool> {
        let mut marked = vec![false; self.vertices.len()];
        for &vertex in vertices {
            marked[vertex] = true;
        }
        marked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(vertices: &[usize], references: &[&[usize]]) -> Subgraph {
        let references = Edges(references.iter().map(|targets| targets.to_vec()).collect());
        Subgraph { vertices: vertices.to_vec(), references }
    }

    #[test]
    fn cuts_and_merges_keep_order_and_inner_references() {
        let whole = graph(&[7, 3, 5], &[&[1, 2], &[2], &[]]);
        assert_eq!(whole.induced(&[true, false, true]), graph(&[7, 5], &[&[1], &[]]));
        assert_eq!(whole.without(&[true, false, false]), graph(&[3, 5], &[&[1], &[]]));
        let chunks = whole.chunks(2);
        assert_eq!(chunks, [graph(&[7, 3], &[&[1], &[]]), graph(&[5], &[&[]])]);
        let merged = Subgraph::merged([chunks[1].clone(), chunks[0].clone()]);
        assert_eq!(merged, graph(&[5, 7, 3], &[&[], &[2], &[]]));
    }
}
