//! Series of images: a closure at one update after another.
//!
//! They are read from two kinds of files. `nix path-info --recursive --json` describes one image
//! per file: a list of objects with `path`, `narSize` and `references`, or, since Nix 2.19, an
//! object of such objects by path. A single file may also contain several series that share a list
//! of nodes:
//!
//! ```json
//! {
//!   "nodes": [{ "key": "app", "name": "app-1.0", "size": 4096, "refs": [1] }, …],
//!   "series": { "stable": [{ "date": "2030-01-31", "ids": ["…", …], "sizes": [4096, …] }, …] }
//! }
//! ```
//!
//! Each item of a series is an image. `ids` and `sizes` have an item for each node; nodes with the
//! same name and id are the same store path. `present` lists the image's nodes if it does not have
//! all of them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use super::graph::{self, GraphError, Node};

/// Images in the order in which they replace each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    /// The kind of updates; empty if the file does not name it.
    pub kind: String,
    /// The images. Each is an update of the one before.
    pub images: Vec<Image>,
}

/// An image of a series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// A date, or another label that distinguishes it from the others.
    pub label: String,
    /// Its closure.
    pub nodes: Vec<Node>,
}

/// Why a file of series cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SeriesError {
    /// It is not JSON, or a closure in it is wrong.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// It looks like a file of series, but something in it has the wrong type.
    #[error("the file has `nodes` and `series`, but is not a valid file of series")]
    Form(#[source] serde_json::Error),
    /// An image's list does not match the list of nodes.
    #[error(
        "image `{label}` of the series `{kind}` has {found} `{key}`; expected one for each of the \
         {nodes} nodes"
    )]
    Length {
        /// The series.
        kind: String,
        /// The image.
        label: String,
        /// The list.
        key: &'static str,
        /// The number of its items.
        found: usize,
        /// The expected number.
        nodes: usize,
    },
    /// A number does not identify a node.
    #[error("`{key}` names node {number}, but there are only {nodes}, counted from 0")]
    Number {
        /// The key with the number.
        key: &'static str,
        /// The number.
        number: usize,
        /// The number of nodes.
        nodes: usize,
    },
}

/// The content of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contents {
    /// Series.
    Series(Vec<Series>),
    /// One image, as written by `nix path-info` or `exportReferencesGraph`.
    Image(Vec<Node>),
}

/// Reads a file of series, or one that describes a single image.
pub fn parse(json: &[u8]) -> Result<Contents, SeriesError> {
    let document: Value = serde_json::from_slice(json).map_err(GraphError::Json)?;
    if document.get("nodes").is_none() || document.get("series").is_none() {
        return Ok(Contents::Image(graph::nodes(&document)?));
    }
    let file: File = serde_json::from_value(document).map_err(SeriesError::Form)?;
    let count = file.nodes.len();
    for node in &file.nodes {
        check("refs", &node.refs, count)?;
    }
    let series = file.series.iter().map(|(kind, images)| {
        let images = images.iter().map(|image| image.resolve(kind, &file.nodes));
        Ok(Series { kind: kind.clone(), images: images.collect::<Result<_, SeriesError>>()? })
    });
    Ok(Contents::Series(series.collect::<Result<_, SeriesError>>()?))
}

#[derive(Deserialize)]
struct File {
    nodes: Vec<FileNode>,
    series: BTreeMap<String, Vec<FileImage>>,
}

#[derive(Deserialize)]
struct FileNode {
    name: String,
    refs: Vec<usize>,
}

#[derive(Deserialize)]
struct FileImage {
    date: String,
    ids: Vec<String>,
    sizes: Vec<u64>,
    present: Option<Vec<usize>>,
}

impl FileImage {
    fn resolve(&self, kind: &str, nodes: &[FileNode]) -> Result<Image, SeriesError> {
        for (key, found) in [("ids", self.ids.len()), ("sizes", self.sizes.len())] {
            if found != nodes.len() {
                let (kind, label) = (kind.to_owned(), self.date.clone());
                return Err(SeriesError::Length { kind, label, key, found, nodes: nodes.len() });
            }
        }
        let present: BTreeSet<usize> = match &self.present {
            Some(present) => {
                check("present", present, nodes.len())?;
                present.iter().copied().collect()
            }
            None => (0..nodes.len()).collect(),
        };
        let path =
            |number: usize| format!("/nix/store/{}-{}", self.ids[number], nodes[number].name);
        let node = |&number: &usize| Node {
            path: path(number),
            nar_size: self.sizes[number],
            references: {
                let there = nodes[number].refs.iter().filter(|other| present.contains(other));
                there.map(|&other| path(other)).collect()
            },
        };
        Ok(Image { label: self.date.clone(), nodes: present.iter().map(node).collect() })
    }
}

fn check(key: &'static str, numbers: &[usize], nodes: usize) -> Result<(), SeriesError> {
    let wrong = numbers.iter().copied().find(|&number| number >= nodes);
    wrong.map_or(Ok(()), |number| Err(SeriesError::Number { key, number, nodes }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_series_over_one_list_of_nodes() {
        let json = br#"{
            "nodes": [{"name": "app-1", "refs": [1, 2]}, {"name": "ssl", "refs": []},
                      {"name": "xml", "refs": [1]}],
            "series": {"stable": [
                {"date": "d1", "ids": ["a", "b", "c"], "sizes": [8, 16, 24]},
                {"date": "d2", "ids": ["d", "b", "c"], "sizes": [9, 16, 24], "present": [0, 1]}
            ]}
        }"#;
        let Contents::Series(series) = parse(json).unwrap() else { panic!("one image") };
        assert_eq!((series.len(), series[0].kind.as_str()), (1, "stable"));
        let shown = |image: &Image| {
            let node = |node: &Node| {
                format!("{} {} {}", node.path, node.nar_size, node.references.join(" "))
                    .replace("/nix/store/", "")
            };
            (image.label.clone(), image.nodes.iter().map(node).collect::<Vec<_>>())
        };
        let images: Vec<_> = series[0].images.iter().map(shown).collect();
        let first = ["a-app-1 8 b-ssl c-xml", "b-ssl 16 ", "c-xml 24 b-ssl"];
        let second = ["d-app-1 9 b-ssl", "b-ssl 16 "];
        assert_eq!(images[0], ("d1".to_owned(), first.map(str::to_owned).to_vec()));
        assert_eq!(images[1], ("d2".to_owned(), second.map(str::to_owned).to_vec()));
    }

    #[test]
    fn reads_both_forms_of_path_info() {
        let node = r#"{"narSize": 8, "references": []"#;
        for json in [
            format!(r#"[{node}, "path": "/nix/store/a-b"}}]"#),
            format!(r#"{{"/nix/store/a-b": {node}}}}}"#),
        ] {
            let Contents::Image(nodes) = parse(json.as_bytes()).unwrap() else { panic!("{json}") };
            let references = vec![];
            let path = "/nix/store/a-b".to_owned();
            assert_eq!(nodes, [Node { path, nar_size: 8, references }], "{json}");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        let file = |refs: &str, image: &str| {
            format!(
                r#"{{"nodes": [{{"name": "a", "refs": {refs}}}], "series": {{"k": [{image}]}}}}"#
            )
        };
        let cases = [
            ("{".to_owned(), "not JSON"),
            ("3".to_owned(), "is the number 3"),
            (r#"{"/a-b": null}"#.to_owned(), "`/a-b`, has no usable `narSize`"),
            (r#"{"nodes": 3, "series": {}}"#.to_owned(), "not a valid file of series"),
            (file("[1]", ""), "`refs` names node 1, but there are only 1"),
            (
                file("[]", r#"{"date": "d", "ids": [], "sizes": [8]}"#),
                "image `d` of the series `k` has 0 `ids`; expected one for each of the 1 nodes",
            ),
            (
                file("[]", r#"{"date": "d", "ids": ["x"], "sizes": [8], "present": [4]}"#),
                "`present` names node 4",
            ),
        ];
        for (json, expected) in cases {
            let error = parse(json.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(expected), "{json}: {error}");
        }
    }
}
