//! The layout written by an image's author: `layeringPipeline`.
//!
//! A pipeline is a list of steps, each a list of a name and arguments. The first step gets the
//! whole closure as one graph. A step may split a graph into several, order, merge or drop them.
//! The result is flattened, and each graph becomes a layer.

mod parse;
mod run;
mod split;
mod subgraph;

pub use run::layers;

use super::graph::GraphError;

/// Why a pipeline, or the graph that it is run on, cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// The text is not valid JSON.
    #[error(
        "the layering pipeline is not JSON; expected a list of steps such as \
         [[\"popularity_contest\"], [\"limit_layers\", 50]]"
    )]
    Json(#[source] serde_json::Error),
    /// A step is not a list that starts with a name.
    #[error(
        "{place} of the layering pipeline is {found}; expected {expected}, such as \
         [[\"popularity_contest\"], [\"limit_layers\", 50]]"
    )]
    Shape {
        /// The step.
        place: Place,
        /// What was expected.
        expected: &'static str,
        /// What was found.
        found: String,
    },
    /// A step has an unknown name.
    #[error("{place} of the layering pipeline is `{name}`, not one of {}", NAMES.join(", "))]
    Name {
        /// The step.
        place: Place,
        /// The unknown name.
        name: String,
    },
    /// A step has too few, too many or wrong arguments.
    #[error("{place} of the layering pipeline, `{name}`, has {found}; write it as {usage}")]
    Arguments {
        /// The step.
        place: Place,
        /// The step's name.
        name: String,
        /// The arguments found.
        found: String,
        /// The step's syntax.
        usage: &'static str,
    },
    /// A step gets input of the wrong kind.
    #[error(
        "{place} of the layering pipeline, `{name}`, works on {takes}, but gets {found}; \
         {remedy}"
    )]
    Input {
        /// The step.
        place: Place,
        /// The step's name.
        name: &'static str,
        /// The kind of input it needs.
        takes: &'static str,
        /// The input it gets.
        found: String,
        /// What the author can do.
        remedy: &'static str,
    },
    /// `over` names a part that does not exist.
    #[error(
        "{place} of the layering pipeline, `over`, names the part `{key}`, but the step before it \
         made {found}; drop the step or name another part"
    )]
    Part {
        /// The step.
        place: Place,
        /// The part's name.
        key: String,
        /// The existing parts.
        found: String,
    },
    /// The closure graph itself is at fault.
    #[error(transparent)]
    Graph(#[from] GraphError),
}

/// The position of a step: "step 2", or "step 2.1" for the first step within the second.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place(Vec<usize>);

impl Place {
    fn step(&self, number: usize) -> Self {
        Self([self.0.as_slice(), &[number]].concat())
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let numbers: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        if numbers.is_empty() {
            return f.write_str("the whole");
        }
        write!(f, "step {}", numbers.join("."))
    }
}

/// A pipeline with checked steps and arguments.
#[derive(Clone, Debug)]
pub struct Pipeline(Vec<Step>);

#[derive(Clone, Debug)]
struct Step {
    place: Place,
    action: Action,
}

#[derive(Clone, Debug)]
enum Action {
    Flatten,
    LimitLayers(usize),
    Map(Box<Step>),
    Over(String, Box<Step>),
    Pipe(Vec<Step>),
    PopularityContest,
    RemovePaths(Vec<String>),
    Reverse,
    SplitEvery(usize),
    SplitPaths(Vec<PathSpec>),
    SubcomponentIn(Vec<String>),
    SubcomponentOut(Vec<String>),
}

/// What `split_paths` splits off.
#[derive(Clone, Debug)]
enum PathSpec {
    /// A path.
    Path(String),
    /// All direct references of these paths.
    ChildrenOf(Vec<String>),
}

const NAMES: [&str; 12] = [
    "flatten",
    "limit_layers",
    "map",
    "over",
    "pipe",
    "popularity_contest",
    "remove_paths",
    "reverse",
    "split_every",
    "split_paths",
    "subcomponent_in",
    "subcomponent_out",
];

impl Action {
    fn name(&self) -> &'static str {
        match self {
            Self::Flatten => "flatten",
            Self::LimitLayers(_) => "limit_layers",
            Self::Map(_) => "map",
            Self::Over(..) => "over",
            Self::Pipe(_) => "pipe",
            Self::PopularityContest => "popularity_contest",
            Self::RemovePaths(_) => "remove_paths",
            Self::Reverse => "reverse",
            Self::SplitEvery(_) => "split_every",
            Self::SplitPaths(_) => "split_paths",
            Self::SubcomponentIn(_) => "subcomponent_in",
            Self::SubcomponentOut(_) => "subcomponent_out",
        }
    }
}
