//! `nix-image plan`: a closure graph in, layers out.

use std::io::{Read, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::ValueEnum;

use super::stdout;
use image::Existing;
use planner::{Layers, auto, graph, pipeline, popularity};

/// Put the paths of a closure into layers, and print these as a JSON list of lists
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = "\
Standard output carries the layers: a JSON list of lists of store paths, lowest layer first.

Examples:
  # Plan the layers of a closure graph
  nix-image plan graph.json

  # Make ten layers at most, beside those of a base image
  nix-image plan graph.json --limit 10 --from-image base.tar.gz

  # Follow a layering pipeline
  nix-image plan graph.json --pipeline pipeline.json")]
pub(super) struct Args {
    /// JSON file of Nix's exportReferencesGraph: the list of nodes, or an object whose `graph` is
    /// that list; `-` reads standard input
    graph: PathBuf,

    /// How to choose the paths that share a layer [default: auto, or pipeline with --pipeline]
    #[arg(long, value_enum)]
    strategy: Option<Strategy>,

    /// How many layers there may be; a pipeline sets its own limits
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

    /// The base image, whose layers count against the limit: a docker-archive, an OCI layout, an OCI
    /// archive or a conf, as PATH or PATH#NAME
    #[arg(long, value_name = "IMAGE", conflicts_with = "pipeline")]
    from_image: Option<String>,

    /// The architecture that the image is for, where the base has several, by Go's name [default:
    /// this machine's]
    #[arg(long, value_name = "ARCH", requires = "from_image")]
    architecture: Option<String>,

    /// Leave this path out of the layers; can be given several times
    #[arg(long, value_name = "PATH")]
    exclude: Vec<String>,

    /// Write to this file, as a JSON object, the narHash of each path in the layers
    #[arg(long, value_name = "FILE")]
    nar_hashes: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Strategy {
    /// The largest paths get a layer each: nixpkgs' default of today
    Auto,
    /// The most needed paths get a layer each: nixpkgs' default until 2024
    Popularity,
    /// What the steps of --pipeline make: nixpkgs' layeringPipeline
    Pipeline,
}

fn at_least_one(text: &str) -> Result<NonZeroUsize, String> {
    text.parse().map_err(|_| "expected a whole number of layers, at least 1".to_owned())
}

impl Args {
    /// Reads the graph, plans and prints.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let mut stdout = stdout::lock()?;
        let graph = read_graph(&self.graph)?;
        let nar_hashes = self.nar_hashes.clone();
        let layers = self.layers(&graph)?;
        if let Some(file) = nar_hashes {
            let hashes = serde_json::to_vec(&graph::nar_hashes(&graph, &layers)?)?;
            std::fs::write(&file, hashes).with_context(|| format!("writing {}", file.display()))?;
        }
        let mut json = serde_json::to_string(&layers)?;
        json.push('\n');
        stdout
            .write_all(json.as_bytes())
            .and_then(|()| stdout.flush())
            .context("writing the layers to standard output")
    }

    fn layers(self, graph: &[u8]) -> anyhow::Result<Layers> {
        let limit = match &self.from_image {
            Some(base) => left_by(base, self.architecture.as_deref(), self.limit)?,
            None => self.limit,
        };
        let excluded = self.exclude.into_iter().collect();
        let nodes = graph::parse(graph)
            .with_context(|| format!("reading the graph in {}", self.graph.display()))?;
        let strategy = self.strategy.unwrap_or(match self.pipeline {
            Some(_) => Strategy::Pipeline,
            None => Strategy::Auto,
        });
        Ok(match (strategy, self.pipeline) {
            (Strategy::Auto, None) => auto::layers(&graph::Closure::new(nodes)?, limit, &excluded),
            (Strategy::Popularity, None) => {
                popularity::layers(&graph::Closure::new(nodes)?, limit, &excluded)?
            }
            (Strategy::Pipeline, Some(file)) => {
                let steps = pipeline::Pipeline::parse(&read(&file)?)
                    .with_context(|| format!("reading the pipeline in {}", file.display()))?;
                pipeline::layers(nodes, &steps, &excluded)?
            }
            (Strategy::Pipeline, None) => {
                bail!("there is no pipeline to follow: name its file with `--pipeline`")
            }
            (Strategy::Auto | Strategy::Popularity, Some(_)) => {
                bail!("`--pipeline` is followed only with `--strategy pipeline`; drop one of them")
            }
        })
    }
}

/// How many of the layers the base image leaves to the contents.
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
    let mut bytes = Vec::new();
    std::io::stdin().lock().read_to_end(&mut bytes).context("reading standard input")?;
    Ok(bytes)
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("reading {}", file.display()))
}
