//! Runs a pipeline's steps.

use std::collections::BTreeSet;

use super::super::Layers;
use super::super::graph::{Closure, Node};
use super::super::popularity::by_popularity;
use super::split::{Direction, split_paths, subcomponent};
use super::subgraph::Subgraph;
use super::{Action, Pipeline, PipelineError, Step};

/// Runs a pipeline on a closure after removing the excluded paths.
pub fn layers(
    nodes: Vec<Node>,
    pipeline: &Pipeline,
    excluded: &BTreeSet<String>,
) -> Result<Layers, PipelineError> {
    let closure = Closure::without(nodes, excluded)?;
    // Steps rely on this: if the whole graph has no cycle, no part of it has one.
    closure.check_acyclic()?;
    let whole = Data::Graph(Subgraph::whole(&closure));
    let mut graphs = Vec::new();
    run_all(&pipeline.0, whole, &closure)?.flatten_into(&mut graphs);
    let layers = graphs.into_iter().filter(|graph| !graph.vertices.is_empty());
    Ok(layers
        .map(|graph| graph.vertices.iter().map(|&path| closure.paths[path].clone()).collect())
        .collect())
}

/// The data passed between steps. It is never nested more deeply than the steps are.
#[derive(Debug)]
enum Data {
    Graph(Subgraph),
    List(Vec<Data>),
    /// Named parts, in order.
    Parts(Vec<(&'static str, Data)>),
}

impl Data {
    fn graphs(graphs: impl IntoIterator<Item = Subgraph>) -> Self {
        Self::List(graphs.into_iter().map(Self::Graph).collect())
    }

    fn parts(parts: impl IntoIterator<Item = (&'static str, Subgraph)>) -> Self {
        Self::Parts(parts.into_iter().map(|(name, graph)| (name, Self::Graph(graph))).collect())
    }

    fn flatten_into(self, graphs: &mut Vec<Subgraph>) {
        match self {
            Self::Graph(graph) => graphs.push(graph),
            Self::List(list) => {
                for item in list {
                    item.flatten_into(graphs);
                }
            }
            Self::Parts(parts) => {
                for (_, part) in parts {
                    part.flatten_into(graphs);
                }
            }
        }
    }

    fn described(&self) -> String {
        match self {
            Self::Graph(_) => "a graph".to_owned(),
            Self::List(list) => format!("a list of {}", list.len()),
            Self::Parts(parts) => {
                let names: Vec<_> = parts.iter().map(|&(name, _)| format!("`{name}`")).collect();
                format!("the parts {}", names.join(" and "))
            }
        }
    }
}

fn run_all(steps: &[Step], data: Data, closure: &Closure) -> Result<Data, PipelineError> {
    steps.iter().try_fold(data, |data, step| run(step, data, closure))
}

fn run(step: &Step, data: Data, closure: &Closure) -> Result<Data, PipelineError> {
    Ok(match &step.action {
        Action::Flatten => {
            let mut graphs = Vec::new();
            data.flatten_into(&mut graphs);
            Data::graphs(graphs)
        }
        Action::LimitLayers(count) => limit_layers(step, list(step, data)?, *count)?,
        Action::Map(inner) => {
            let items = list(step, data)?.into_iter();
            let items = items.map(|item| run(inner, item, closure)).collect::<Result<_, _>>();
            Data::List(items?)
        }
        Action::Over(key, inner) => over(step, data, key, inner, closure)?,
        Action::Pipe(steps) => run_all(steps, data, closure)?,
        Action::PopularityContest => popularity_contest(&graph(step, data)?, closure)?,
        // As in nixpkgs, a step without paths to remove also accepts lists and parts: it results
        // from an expression whose list of paths happens to be empty.
        Action::RemovePaths(paths) if paths.is_empty() => data,
        Action::RemovePaths(paths) => {
            let graph = graph(step, data)?;
            let removed = graph.marked(&graph.find(closure, paths));
            Data::Graph(graph.without(&removed))
        }
        Action::Reverse => {
            let mut items = list(step, data)?;
            items.reverse();
            Data::List(items)
        }
        Action::SplitEvery(count) => Data::graphs(graph(step, data)?.chunks(*count)),
        Action::SplitPaths(specs) => Data::parts(split_paths(graph(step, data)?, closure, specs)),
        Action::SubcomponentIn(paths) => {
            Data::parts(subcomponent(&graph(step, data)?, closure, paths, Direction::In))
        }
        Action::SubcomponentOut(paths) => {
            Data::parts(subcomponent(&graph(step, data)?, closure, paths, Direction::Out))
        }
    })
}

/// A step's input, which must be a graph.
fn graph(step: &Step, data: Data) -> Result<Subgraph, PipelineError> {
    let remedy = match data {
        Data::Graph(graph) => return Ok(graph),
        Data::List(_) => "wrap it in [\"map\", STEP] to run it on each",
        Data::Parts(_) => "wrap it in [\"over\", PART, STEP] to run it on one of them",
    };
    Err(wrong_input(step, "a graph", data.described(), remedy))
}

/// A step's input, which must be a list.
fn list(step: &Step, data: Data) -> Result<Vec<Data>, PipelineError> {
    let remedy = match data {
        Data::List(list) => return Ok(list),
        Data::Graph(_) => {
            "put a step before it that makes a list, such as [\"popularity_contest\"]"
        }
        Data::Parts(_) => "put [\"flatten\"] before it to make a list of them",
    };
    Err(wrong_input(step, "a list", data.described(), remedy))
}

fn wrong_input(
    step: &Step,
    takes: &'static str,
    found: String,
    remedy: &'static str,
) -> PipelineError {
    PipelineError::Input {
        place: step.place.clone(),
        name: step.action.name(),
        takes,
        found,
        remedy,
    }
}

/// The first `count - 1` items unchanged, and one graph of all others, even if that is empty: later
/// steps count it.
fn limit_layers(step: &Step, items: Vec<Data>, count: usize) -> Result<Data, PipelineError> {
    let mut items = items.into_iter();
    let mut limited: Vec<Data> = items.by_ref().take(count - 1).collect();
    let rest = items.map(|item| match item {
        Data::Graph(graph) => Ok(graph),
        other => Err(wrong_input(
            step,
            "a list of graphs",
            format!("one that holds {}", other.described()),
            "put [\"flatten\"] before it",
        )),
    });
    let rest = rest.collect::<Result<Vec<_>, _>>()?;
    limited.push(Data::Graph(Subgraph::merged(rest)));
    Ok(Data::List(limited))
}

fn over(
    step: &Step,
    data: Data,
    key: &str,
    inner: &Step,
    closure: &Closure,
) -> Result<Data, PipelineError> {
    let Data::Parts(mut parts) = data else {
        let remedy =
            "put a step before it that makes parts, such as [\"split_paths\", [PATH, ...]]";
        return Err(wrong_input(step, "parts", data.described(), remedy));
    };
    let Some(place) = parts.iter().position(|&(name, _)| name == key) else {
        return Err(PipelineError::Part {
            place: step.place.clone(),
            key: key.to_owned(),
            found: Data::Parts(parts).described(),
        });
    };
    let (name, part) = parts.remove(place);
    parts.insert(place, (name, run(inner, part, closure)?));
    Ok(Data::Parts(parts))
}

/// A graph for each vertex, the most popular first.
fn popularity_contest(graph: &Subgraph, closure: &Closure) -> Result<Data, PipelineError> {
    let names: Vec<&str> =
        graph.vertices.iter().map(|&number| closure.paths[number].as_str()).collect();
    let order = by_popularity(&names, &graph.references)?;
    Ok(Data::graphs(order.into_iter().map(|vertex| Subgraph::single(graph.vertices[vertex]))))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The result of a pipeline for this closure, formatted as `a b | c`:
    ///
    /// ```text
    /// app ----> lib ----> libc
    ///  \-> conf  \-> ssl --^ ^
    /// tool -----------------/
    /// ```
    fn written(pipeline: &str, excluded: &[&str]) -> Result<String, PipelineError> {
        let nodes = [
            ("app", 40, "app lib conf"),
            ("conf", 10, ""),
            ("lib", 30, "libc ssl"),
            ("libc", 50, "libc"),
            ("ssl", 20, "libc"),
            ("tool", 60, "libc"),
        ];
        let node = |(path, nar_size, references): (&str, u64, &str)| Node {
            path: path.to_owned(),
            nar_size,
            references: references.split_whitespace().map(str::to_owned).collect(),
        };
        let excluded = excluded.iter().map(ToString::to_string).collect();
        let pipeline = Pipeline::parse(pipeline.as_bytes())?;
        let layers = layers(nodes.map(node).to_vec(), &pipeline, &excluded)?;
        let layers: Vec<String> = layers.iter().map(|layer| layer.join(" ")).collect();
        Ok(layers.join(" | "))
    }

    #[test]
    fn steps_do_what_they_say() {
        let cases = [
            // No step: one layer, smallest path first.
            ("[]", "conf ssl lib app libc tool"),
            (r#"[["remove_paths", "lib"]]"#, "conf ssl app libc tool"),
            (r#"[["remove_paths", ["lib", "gone"]]]"#, "conf ssl app libc tool"),
            (r#"[["split_every", 4], ["remove_paths", []]]"#, "conf ssl lib app | libc tool"),
            (r#"[["split_every", 4]]"#, "conf ssl lib app | libc tool"),
            (r#"[["split_every", 4], ["reverse"]]"#, "libc tool | conf ssl lib app"),
            (r#"[["popularity_contest"]]"#, "libc | ssl | conf | lib | app | tool"),
            (r#"[["popularity_contest"], ["limit_layers", 3]]"#, "libc | ssl | conf lib app tool"),
            (r#"[["subcomponent_out", ["lib"]]]"#, "ssl lib libc | conf app tool"),
            (r#"[["subcomponent_in", ["ssl"]]]"#, "ssl lib app | conf libc tool"),
            (r#"[["subcomponent_in", []]]"#, "conf ssl lib app libc tool"),
            // Only lib needs ssl; tool needs libc too.
            (r#"[["split_paths", ["lib"]]]"#, "ssl lib | libc | conf app tool"),
            (r#"[["split_paths", ["app"]]]"#, "conf ssl lib app | libc | tool"),
            (r#"[["split_paths", ["gone"]]]"#, "conf ssl lib app libc tool"),
            // Everything below lib: the references from outside to libc and ssl are cut.
            (r#"[["split_paths", [{"children_of": "lib"}]]]"#, "ssl libc | conf lib app tool"),
            (
                r#"[["split_paths", ["lib"]], ["over", "rest", ["split_every", 1]]]"#,
                "ssl lib | libc | conf | app | tool",
            ),
            (
                r#"[["split_paths", ["lib"]], ["flatten"], ["map", ["popularity_contest"]]]"#,
                "ssl | lib | libc | conf | app | tool",
            ),
        ];
        for (pipeline, expected) in cases {
            assert_eq!(written(pipeline, &[]).unwrap(), expected, "{pipeline}");
        }
    }

    #[test]
    fn excluded_paths_are_gone_before_the_first_step() {
        // Without tool there is one root, and that is what is split off.
        let pipeline = r#"[["split_paths", ["app"]]]"#;
        assert_eq!(written(pipeline, &["tool"]).unwrap(), "conf ssl lib app libc");
        assert_eq!(written(pipeline, &["app"]).unwrap(), "conf ssl lib libc tool");
    }

    #[test]
    fn an_empty_rest_counts_as_a_layer_for_later_steps() {
        let pipeline = r#"[["split_every", 2], ["limit_layers", 4], ["reverse"],
            ["limit_layers", 2]]"#;
        assert_eq!(written(pipeline, &[]).unwrap(), "libc tool lib app conf ssl");
    }

    #[test]
    fn says_which_step_was_given_the_wrong_thing() {
        let cases = [
            (
                r#"[["reverse"]]"#,
                "step 1 of the layering pipeline, `reverse`, works on a list, but \
                gets a graph; put a step before it that makes a list",
            ),
            (r#"[["map", ["flatten"]]]"#, "`map`, works on a list, but gets a graph"),
            (r#"[["split_every", 2], ["split_every", 2]]"#, "gets a list of 3; wrap it in"),
            (
                r#"[["split_paths", ["lib"]], ["popularity_contest"]]"#,
                "gets the parts `main` and `common` and `rest`; wrap it in [\"over\", PART",
            ),
            (r#"[["subcomponent_in", []], ["reverse"]]"#, "put [\"flatten\"] before it"),
            (
                r#"[["split_paths", ["gone"]], ["over", "main", ["flatten"]]]"#,
                "names the part `main`, but the step before it made the parts `rest`",
            ),
            (r#"[["over", "main", ["flatten"]]]"#, "works on parts, but gets a graph"),
            (
                r#"[["split_every", 2], ["map", ["split_every", 1]], ["limit_layers", 2]]"#,
                "works on a list of graphs, but gets one that holds a list of 2",
            ),
        ];
        for (pipeline, expected) in cases {
            let error = written(pipeline, &[]).unwrap_err().to_string();
            assert!(error.contains(expected), "{pipeline}: {error}");
        }
    }
}
