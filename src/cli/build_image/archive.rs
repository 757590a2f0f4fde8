//! `nix-image build-image archive`.

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::base::{self, DockerArchiveFile};
use crate::cli::stdout;
use image::bounded;
use image::one_layer::OneLayerImage;
use planner::graph;

/// Write the docker-archive of a layer and its closure to standard output
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The directory that `nix-image build-image layer` wrote
    layer: PathBuf,
    /// JSON file of Nix's exportReferencesGraph, whose `graph` is the closure of the layer
    #[arg(long, value_name = "FILE")]
    closure: PathBuf,
    /// JSON file of the image's architecture, config and date
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The image's name
    #[arg(long)]
    name: String,
    /// The image's tag
    #[arg(long)]
    tag: String,
    /// The base image: a docker-archive, an OCI layout, an OCI archive, a conf or the program that
    /// streams its image, as PATH or PATH#NAME
    #[arg(long, value_name = "IMAGE")]
    from_image: Option<String>,
    /// The architecture to choose if the base image has several, as Go names it [default: this
    /// machine's]
    #[arg(long, value_name = "ARCH", requires = "from_image")]
    architecture: Option<String>,
    /// Modification time of the files, in seconds since 1970
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    mtime: i64,
    /// The store's directory
    #[arg(long, value_name = "DIR", default_value = "/nix/store")]
    store_dir: String,
    /// Read the store paths below this directory
    #[arg(long, value_name = "DIR")]
    store_root: Option<PathBuf>,
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<()> {
        stdout::check()?;
        // Rust's own standard output is line-buffered: it searches everything it writes for
        // newlines.
        let out = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        let base = self.from_image.as_deref().map(|name| {
            base::docker_archive(name, self.architecture.as_deref(), self.store_root.as_deref())
        });
        let base = base.transpose()?;
        let image = OneLayerImage {
            layer: &self.layer,
            closure: &closure(&self.closure)?,
            store_dir: &self.store_dir,
            store_root: self.store_root.as_deref().unwrap_or(Path::new("")),
            description: &self.config,
            name: &self.name,
            tag: &self.tag,
            base: base.as_ref().map(DockerArchiveFile::path),
            mtime: self.mtime,
        };
        Ok(image.write(out)?)
    }
}

fn closure(file: &Path) -> anyhow::Result<Vec<String>> {
    let json = bounded::read_file(file).with_context(|| format!("reading {}", file.display()))?;
    let nodes = graph::parse(&json)
        .with_context(|| format!("reading the closure in {}", file.display()))?;
    Ok(nodes.into_iter().map(|node| node.path).collect())
}
