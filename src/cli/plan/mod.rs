//! `nix-image plan`: turns a closure graph into layers.

mod explicit;

use std::io::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::ValueEnum;
use serde_json::Value;

use super::elsewhere::ElsewhereArgs;
use super::looked::LookArgs;
use super::{explain, layers, stdout};
use crate::report::{self, Mode, Style};
use explicit::Explicit;
use image::{Existing, bounded, check_layer_options};
use planner::graph::{self, Closure, Node};
use planner::{Layers, auto, delta, ordered, own, pipeline, popularity};

/// Group the paths of a closure into layers, and print these as a JSON list of lists
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = "\
Prints the layers to standard output: a JSON list of lists of store paths, lowest layer first.

Examples:
  # Plan the layers of a closure graph
  nix-image plan graph.json

  # Make at most ten layers, including those of a base image
  nix-image plan graph.json --limit 10 --from-image base.tar.gz

  # Keep the layers of the image in the registry
  nix-image plan graph.json --strategy delta --previous docker://ghcr.io/me/app:1

  # Follow a layering pipeline
  nix-image plan graph.json --pipeline pipeline.json")]
pub(super) struct Args {
    /// JSON file of Nix's exportReferencesGraph: the list of nodes, or an object whose `graph` is
    /// that list; `-` reads standard input. The object may have `layers`, which come first, each
    /// with the key of its own closure, and `copyToRoot`
    graph: PathBuf,

    /// How to choose the paths that share a layer [default: auto, or pipeline with --pipeline]
    #[arg(long, value_enum)]
    strategy: Option<Strategy>,

    /// Maximum number of layers; a pipeline sets its own limits
    #[arg(
        long,
        value_name = "N",
        default_value = "100",
        value_parser = at_least_one,
        allow_negative_numbers = true
    )]
    limit: NonZeroUsize,

    /// JSON file with the steps of the layering pipeline
    #[arg(long, value_name = "FILE", required_if_eq("strategy", "pipeline"))]
    pipeline: Option<PathBuf>,

    /// The base image, whose layers count against the limit: a docker-archive, an OCI layout, an
    /// OCI archive or a conf, as PATH or PATH#NAME
    #[arg(long, value_name = "IMAGE", conflicts_with = "pipeline")]
    from_image: Option<String>,

    /// The architecture of the image, if the base has several, as Go names it [default: this
    /// machine's]
    #[arg(long, value_name = "ARCH")]
    architecture: Option<String>,

    /// Leave this path out of the layers; may be given several times
    #[arg(long, value_name = "PATH")]
    exclude: Vec<String>,

    /// A path that changes more often than all others, such as your own program, for ordered and
    /// delta: a store path, or its name with or without the version; may be given several times
    #[arg(long, value_name = "PATH")]
    own: Vec<String>,

    /// The previous image, for delta: the output of `nix-image layers`, or any image that it
    /// accepts, in a file, a registry or an engine
    #[arg(long, value_name = "FILE|IMAGE")]
    previous: Option<String>,

    /// Instead of the layers, print what has to be transferred to where this image already is, and
    /// why: the same kinds of images as for --previous
    #[arg(long, value_name = "OLD", conflicts_with = "nar_hashes")]
    explain: Option<String>,

    /// Write the narHash of each path in the layers to this file, as a JSON object
    #[arg(long, value_name = "FILE")]
    nar_hashes: Option<PathBuf>,

    /// Write the references of each path in the layers to this file, as a JSON object; only paths
    /// in the layers are listed
    #[arg(long, value_name = "FILE", conflicts_with = "explain")]
    references: Option<PathBuf>,

    /// Write the conf's `layer_options` to this file: what is copied into the root, and modes and
    /// owners; this checks that the files can be merged
    #[arg(long, value_name = "FILE")]
    layer_options: Option<PathBuf>,

    /// The store's directory
    #[arg(long, value_name = "DIR", default_value = "/nix/store")]
    store_dir: String,

    /// Read the store paths below this directory
    #[arg(long, value_name = "DIR")]
    store_root: Option<PathBuf>,

    #[command(flatten)]
    elsewhere: ElsewhereArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Strategy {
    /// The largest paths get a layer each: nixpkgs' current default
    Auto,
    /// The layers of auto, with those that seldom change at the bottom
    Ordered,
    /// The layers of --previous where they still fit, and new ones for the rest
    Delta,
    /// The most referenced paths get a layer each: nixpkgs' default until 2024
    Popularity,
    /// The steps of --pipeline: nixpkgs' layeringPipeline
    Pipeline,
}

fn at_least_one(text: &str) -> Result<NonZeroUsize, String> {
    text.parse().map_err(|_| "expected a whole number of layers, at least 1".to_owned())
}

impl Args {
    /// Reads the graph, plans and prints.
    pub(super) fn run(self, mode: Mode) -> anyhow::Result<()> {
        let mut stdout = stdout::lock()?;
        let graph = read_graph(&self.graph)?;
        let reading = || format!("reading the graph in {}", self.graph.display());
        let nodes = graph::parse(&graph).with_context(reading)?;
        let explicit = Explicit::parse(&graph).with_context(reading)?;
        let printed = if let Some(old) = &self.explain {
            let old = self.of_image(old, mode)?;
            let (layers, _) = self.layers(nodes.clone(), &explicit, mode)?;
            explain::text(&Closure::new(nodes)?, &layers, &old)
        } else {
            let (layers, options) = self.layers(nodes.clone(), &explicit, mode)?;
            if let Some(file) = &self.nar_hashes {
                let paths = explicit.paths(&layers);
                write(file, &graph::nar_hashes(&graph, &explicit.keys, paths)?.into())?;
            }
            if let Some(file) = &self.references {
                write(file, &graph::references(explicit.nodes().chain(&nodes), &layers).into())?;
            }
            if let Some(file) = &self.layer_options {
                let root = self.store_root.as_deref();
                check_layer_options(&layers, options.clone(), &self.store_dir, root)?;
                write(file, &options)?;
            }
            serde_json::to_string(&layers)? + "\n"
        };
        stdout
            .write_all(printed.as_bytes())
            .and_then(|()| stdout.flush())
            .context("writing the layers to standard output")
    }

    fn strategy(&self) -> anyhow::Result<Strategy> {
        let usual = if self.pipeline.is_some() { Strategy::Pipeline } else { Strategy::Auto };
        let strategy = self.strategy.unwrap_or(usual);
        if self.pipeline.is_some() && strategy != Strategy::Pipeline {
            bail!("`--pipeline` works only with `--strategy pipeline`; drop one of them");
        }
        if self.previous.is_some() && strategy != Strategy::Delta {
            bail!("`--previous` works only with `--strategy delta`; drop one of them");
        }
        if !self.own.is_empty() && !matches!(strategy, Strategy::Ordered | Strategy::Delta) {
            bail!(
                "`--own` works only with `--strategy ordered` and `--strategy delta`; \
                 choose one of them, or drop it"
            );
        }
        Ok(strategy)
    }

    /// All layers, and the conf's `layer_options`.
    fn layers(
        &self,
        nodes: Vec<Node>,
        explicit: &Explicit,
        mode: Mode,
    ) -> anyhow::Result<(Layers, Value)> {
        let layers = explicit.layers();
        let nodes = Explicit::rest(nodes, &layers);
        let planned = self.planned(nodes, explicit, mode)?;
        Ok(explicit.with(layers, planned))
    }

    fn planned(&self, nodes: Vec<Node>, explicit: &Explicit, mode: Mode) -> anyhow::Result<Layers> {
        let strategy = self.strategy()?;
        let limit = match &self.from_image {
            Some(base) => left_by(base, self.architecture.as_deref(), self.limit)?,
            None => self.limit,
        };
        let mut excluded = explicit.copied_alone(&nodes);
        excluded.extend(self.exclude.iter().cloned());
        if strategy == Strategy::Pipeline {
            let Some(file) = &self.pipeline else {
                bail!("`--strategy pipeline` needs a pipeline; name its file with `--pipeline`")
            };
            let steps = pipeline::Pipeline::parse(&read(file)?)
                .with_context(|| format!("reading the pipeline in {}", file.display()))?;
            return Ok(pipeline::layers(nodes, &steps, &excluded)?);
        }
        let limit = explicit.left(limit)?;
        let closure = Closure::new(nodes)?;
        let own = own::find(&closure, &self.own)?;
        Ok(match strategy {
            Strategy::Auto | Strategy::Pipeline => auto::layers(&closure, limit, &excluded),
            Strategy::Ordered => ordered::layers(&closure, limit, &excluded, &own)?,
            Strategy::Delta => {
                let previous = self.previous.as_deref();
                let previous = previous.map(|previous| self.of_image(previous, mode));
                let previous = previous.transpose()?.unwrap_or_default();
                delta::layers(&closure, limit, &excluded, &own, &previous)?
            }
            Strategy::Popularity => popularity::layers(&closure, limit, &excluded)?,
        })
    }
}

impl Args {
    /// The layers of an existing image.
    fn of_image(&self, operand: &str, mode: Mode) -> anyhow::Result<Layers> {
        let look = LookArgs::new(self.architecture.clone(), self.elsewhere.clone());
        layers::of_image(operand, &look, &report::new(mode, Style::READ))
    }
}

/// How many layers the base image leaves for the contents.
fn left_by(
    base: &str,
    architecture: Option<&str>,
    limit: NonZeroUsize,
) -> anyhow::Result<NonZeroUsize> {
    let architecture = architecture.unwrap_or(oci::Platform::here());
    let used = Existing::open(base, architecture, None)?.layers().len();
    limit.get().checked_sub(used).and_then(NonZeroUsize::new).with_context(|| {
        format!(
            "the base image `{}` has {used} layers, which leaves none of {limit} for the \
             contents; raise maxLayers to at least {}, since the image's own files take one, too",
            base,
            used + 2
        )
    })
}

fn read_graph(file: &Path) -> anyhow::Result<Vec<u8>> {
    if file.as_os_str() != "-" {
        return read(file);
    }
    bounded::read_document(std::io::stdin().lock()).context("reading standard input")
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    bounded::read_file(file).with_context(|| format!("reading {}", file.display()))
}

fn write(file: &Path, value: &Value) -> anyhow::Result<()> {
    std::fs::write(file, value.to_string()).with_context(|| format!("writing {}", file.display()))
}
