//! The closure graph: store paths, their sizes and their references.

use std::collections::{BTreeSet, HashMap, HashSet};

use serde_json::{Map, Value};

use super::edges::Edges;
use super::{Layers, describe};

/// Why a closure graph cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GraphError {
    /// The text is not valid JSON.
    #[error("the closure graph is not JSON; expected the output of Nix's exportReferencesGraph")]
    Json(#[source] serde_json::Error),
    /// The JSON is neither a list nor an object with one.
    #[error(
        "the closure graph is {found}; expected a list of nodes, or an object whose `graph` is \
         one, as Nix's exportReferencesGraph writes it"
    )]
    Shape {
        /// What is there instead of the list.
        found: String,
    },
    /// A value in a node is missing or has the wrong type.
    #[error(
        "node {number} of the closure graph{of} has no usable `{key}`: expected {expected}, found \
         {found}; export the graph again with Nix's exportReferencesGraph"
    )]
    Node {
        /// The node's number in the list, from 1.
        number: usize,
        /// ", " and the node's path, or empty if it has none.
        of: String,
        /// The key with the wrong value.
        key: &'static str,
        /// What was expected.
        expected: &'static str,
        /// What was found.
        found: String,
    },
    /// A path has two nodes.
    #[error("`{path}` has two nodes in the closure graph; expected one for each path: drop one")]
    Twice {
        /// The path.
        path: String,
    },
    /// A path refers to one that has no node.
    #[error(
        "`{path}` refers to `{missing}`, which has no node in the closure graph; export the whole \
         closure"
    )]
    Absent {
        /// The path that refers to it.
        path: String,
        /// The path that has no node.
        missing: String,
    },
    /// Paths refer to each other in a circle.
    #[error(
        "the closure graph runs in a circle, so its paths have no order: {}; drop one of \
         these references",
        shortened(.circle)
    )]
    Circle {
        /// The paths of the circle; the first one is repeated at the end.
        circle: Vec<String>,
    },
}

impl GraphError {
    pub(super) fn circle<'a>(circle: &[usize], name: impl Fn(usize) -> &'a str) -> Self {
        Self::Circle { circle: circle.iter().map(|&number| name(number).to_owned()).collect() }
    }
}

/// A circle for a message, with the middle left out if it is long.
fn shortened(circle: &[String]) -> String {
    const SHOWN: usize = 4;
    if circle.len() <= 2 * SHOWN {
        return circle.join(" -> ");
    }
    let (start, end) = (&circle[..SHOWN], &circle[circle.len() - SHOWN..]);
    let hidden = circle.len() - 2 * SHOWN;
    format!("{} -> ({hidden} more) -> {}", start.join(" -> "), end.join(" -> "))
}

/// A node in the graph's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The store path.
    pub path: String,
    /// The size of the path as a Nix archive, in bytes.
    pub nar_size: u64,
    /// The paths that this one refers to, often including itself.
    pub references: Vec<String>,
}

/// Reads the JSON of `exportReferencesGraph`: a list of nodes, or an object whose `graph` is one.
/// The output of `nix path-info --json` is such a list too, or an object of nodes by path.
pub fn parse(json: &[u8]) -> Result<Vec<Node>, GraphError> {
    nodes(&serde_json::from_slice(json).map_err(GraphError::Json)?)
}

/// Reads the same from a parsed document.
pub fn nodes(document: &Value) -> Result<Vec<Node>, GraphError> {
    let list = document.get("graph").unwrap_or(document);
    match list {
        Value::Array(nodes) => {
            let numbered = nodes.iter().enumerate();
            numbered.map(|(index, node)| parse_node(index + 1, None, node)).collect()
        }
        Value::Object(nodes) if nodes.keys().any(|path| path.contains('/')) => {
            let numbered = nodes.iter().enumerate();
            numbered.map(|(index, (path, node))| parse_node(index + 1, Some(path), node)).collect()
        }
        _ => Err(GraphError::Shape { found: describe(Some(list)) }),
    }
}

/// The narHash of each of these paths, read from the same JSON; `keys` are the keys of its lists of
/// nodes in addition to `graph`.
pub fn nar_hashes<'a>(
    json: &[u8],
    keys: &[String],
    paths: impl Iterator<Item = &'a String>,
) -> Result<Map<String, Value>, GraphError> {
    let document: Value = serde_json::from_slice(json).map_err(GraphError::Json)?;
    let graph = document.get("graph").unwrap_or(&document);
    let lists = keys.iter().filter_map(|key| document.get(key)).chain([graph]);
    let nodes: HashMap<_, _> = lists
        .filter_map(Value::as_array)
        .flat_map(|list| list.iter().enumerate())
        .filter_map(|(index, node)| Some((node.get("path")?.as_str()?, (index + 1, node))))
        .collect();
    let hash = |path: &String| {
        let &(number, node) = nodes.get(path.as_str())?;
        Some(match node.get("narHash") {
            Some(Value::String(hash)) => Ok((path.clone(), Value::from(hash.as_str()))),
            other => Err(GraphError::Node {
                number,
                of: format!(", `{path}`,"),
                key: "narHash",
                expected: "a string",
                found: describe(other),
            }),
        })
    };
    paths.filter_map(hash).collect()
}

/// The references of each path in the layers, except for itself and for paths that are in no layer.
pub fn references<'a>(
    nodes: impl Iterator<Item = &'a Node>,
    layers: &Layers,
) -> Map<String, Value> {
    let there: HashSet<&String> = layers.iter().flatten().collect();
    let nodes: HashMap<_, _> = nodes.map(|node| (&node.path, node)).collect();
    let of = |path: &&String| {
        let node = nodes.get(*path)?;
        let targets = node.references.iter();
        let targets = targets.filter(|target| *target != *path && there.contains(target));
        Some(((*path).clone(), targets.map(String::as_str).collect()))
    };
    layers.iter().flatten().collect::<Vec<_>>().iter().filter_map(of).collect()
}

/// Reads a node. Its path is read from it unless it is known.
fn parse_node(number: usize, path: Option<&str>, node: &Value) -> Result<Node, GraphError> {
    let path = path.or_else(|| node.get("path").and_then(Value::as_str));
    let wrong = |key, expected| GraphError::Node {
        number,
        of: path.map_or_else(String::new, |path| format!(", `{path}`,")),
        key,
        expected,
        found: describe(node.get(key)),
    };
    let references = node
        .get("references")
        .and_then(Value::as_array)
        .and_then(|list| list.iter().map(|item| item.as_str().map(str::to_owned)).collect());
    Ok(Node {
        path: path.ok_or_else(|| wrong("path", "a string"))?.to_owned(),
        nar_size: node
            .get("narSize")
            .and_then(Value::as_u64)
            .ok_or_else(|| wrong("narSize", "a whole number of bytes"))?,
        references: references.ok_or_else(|| wrong("references", "a list of strings"))?,
    })
}

/// A closure with resolved references. Paths are identified by number.
#[derive(Clone, Debug)]
pub struct Closure {
    /// The store paths, in the order of the graph's file.
    pub paths: Vec<String>,
    /// The size of each path.
    pub nar_sizes: Vec<u64>,
    /// The references of each path, without itself.
    pub references: Edges,
    numbers: HashMap<String, usize>,
}

impl Closure {
    /// Resolves the nodes' references.
    pub fn new(nodes: Vec<Node>) -> Result<Self, GraphError> {
        let mut numbers = HashMap::with_capacity(nodes.len());
        for (number, node) in nodes.iter().enumerate() {
            if numbers.insert(node.path.clone(), number).is_some() {
                return Err(GraphError::Twice { path: node.path.clone() });
            }
        }
        let references = nodes.iter().map(|node| resolve(node, &numbers)).collect::<Result<_, _>>();
        Ok(Self {
            references: Edges(references?),
            nar_sizes: nodes.iter().map(|node| node.nar_size).collect(),
            paths: nodes.into_iter().map(|node| node.path).collect(),
            numbers,
        })
    }

    /// Resolves the nodes that remain when some paths, and all references to them, are removed.
    pub fn without(nodes: Vec<Node>, excluded: &BTreeSet<String>) -> Result<Self, GraphError> {
        let kept = nodes.into_iter().filter(|node| !excluded.contains(&node.path));
        let kept = kept.map(|mut node| {
            node.references.retain(|reference| !excluded.contains(reference));
            node
        });
        Self::new(kept.collect())
    }

    /// The number of a path, if it is in the closure.
    pub fn number(&self, path: &str) -> Option<usize> {
        self.numbers.get(path).copied()
    }

    /// Fails if paths refer to each other in a circle.
    pub fn check_acyclic(&self) -> Result<(), GraphError> {
        let order = self.references.users_first();
        order.map(drop).map_err(|circle| GraphError::circle(&circle, |n| &self.paths[n]))
    }
}

fn resolve(node: &Node, numbers: &HashMap<String, usize>) -> Result<Vec<usize>, GraphError> {
    let mut seen = HashSet::new();
    let others = node.references.iter().filter(|&other| *other != node.path && seen.insert(other));
    others
        .map(|other| {
            numbers.get(other).copied().ok_or_else(|| GraphError::Absent {
                path: node.path.clone(),
                missing: other.clone(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(path: &str, references: &[&str]) -> Node {
        let references = references.iter().map(ToString::to_string).collect();
        Node { path: path.to_owned(), nar_size: 8, references }
    }

    #[test]
    fn reads_a_list_or_an_object_that_holds_it() {
        let list = br#"[{"path": "a", "narSize": 8, "references": ["b"], "valid": true}]"#;
        let object = [br#"{"graph": "#.as_slice(), list, b"}"].concat();
        for json in [list.as_slice(), &object] {
            assert_eq!(parse(json).unwrap(), [node("a", &["b"])]);
        }
    }

    #[test]
    fn says_what_is_wrong_with_the_file() {
        let cases = [
            ("{", "not JSON"),
            ("3", "is the number 3"),
            (r#"{"graph": "x"}"#, "is the string `x`"),
            ("{}", "is an object"),
            ("[3]", "node 1 of the closure graph has no usable `path`"),
            (r#"[{"path": "p"}]"#, "graph, `p`, has no usable `narSize`"),
            (r#"[{"path": "p", "narSize": -1}]"#, "found the number -1"),
            (r#"[{"path": "p", "narSize": 1.5}]"#, "found the number 1.5"),
            (r#"[{"path": "p", "narSize": 1}]"#, "`references`: expected a list of strings"),
            (r#"[{"path": "p", "narSize": 1, "references": [2]}]"#, "found a list"),
        ];
        for (json, expected) in cases {
            let error = parse(json.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(expected), "{json}: {error}");
        }
    }

    #[test]
    fn says_what_is_wrong_with_the_nodes() {
        let cases = [
            (vec![node("a", &[]), node("a", &[])], "`a` has two nodes"),
            (vec![node("a", &["b"])], "`a` refers to `b`"),
        ];
        for (nodes, expected) in cases {
            let error = Closure::new(nodes).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn leaves_out_excluded_paths_and_references_to_them() {
        let nodes = vec![node("a", &["a", "b", "c", "b"]), node("b", &["gone"]), node("c", &[])];
        let excluded = BTreeSet::from(["b".to_owned()]);
        let closure = Closure::without(nodes, &excluded).unwrap();
        assert_eq!(closure.paths, ["a", "c"]);
        assert_eq!(closure.references.0, [vec![1], vec![]]);
    }

    #[test]
    fn names_the_ends_of_a_long_circle() {
        let names: Vec<String> = (0..1000).map(|number| number.to_string()).collect();
        let next = |number: usize| names[(number + 1) % names.len()].as_str();
        let nodes = (0..names.len()).map(|number| node(&names[number], &[next(number)]));
        let error = Closure::new(nodes.collect()).unwrap().check_acyclic().unwrap_err();
        assert!(error.to_string().contains("(993 more)"), "{error}");
        assert!(error.to_string().len() < 300, "{error}");
    }

    #[test]
    fn names_the_circle() {
        let nodes = vec![
            node("root", &["a"]),
            node("below", &[]),
            node("a", &["b", "below"]),
            node("b", &["c"]),
            node("c", &["a"]),
        ];
        let error = Closure::new(nodes).unwrap().check_acyclic().unwrap_err();
        assert!(error.to_string().contains(" -> "), "{error}");
        let GraphError::Circle { circle } = error else { panic!("{error}") };
        assert_eq!(circle.len(), 4);
        assert_eq!(circle.first(), circle.last());
        let text = circle.join("");
        assert!(["abca", "bcab", "cabc"].contains(&text.as_str()), "{text}");
    }
}
