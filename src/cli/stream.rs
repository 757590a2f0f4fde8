//! `nix-image stream`.

use std::path::PathBuf;

use crate::cache::Cache;
use crate::conf::Conf;
use crate::engine::{self, Engine};
use crate::image::Image;
use crate::progress::Progress;
use crate::sink::{self, Output};

/// Write an image to standard output as a docker-archive, byte for byte what nixpkgs writes
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The image's conf, a JSON file
    conf: PathBuf,
    /// Name and tag, instead of the conf's
    #[arg(short = 't', long = "repo_tag", visible_alias = "tag", value_name = "NAME:TAG")]
    repo_tag: Option<String>,
    /// Read /nix/store/... below this directory
    #[arg(long, value_name = "DIR")]
    store_root: Option<PathBuf>,
    /// Neither use nor remember digests
    #[arg(long)]
    no_cache: bool,
    /// Hash each layer again while it is written
    #[arg(long)]
    verify: bool,
    /// Threads that hash [default: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

impl Args {
    /// What the drop-in's few arguments mean.
    pub(super) fn drop_in(conf: PathBuf, repo_tag: Option<String>) -> Self {
        Self { conf, repo_tag, store_root: None, no_cache: false, verify: false, threads: None }
    }

    pub(super) fn run(self) -> anyhow::Result<()> {
        let mut output = Output::stdout()?;
        let conf = Conf::load(&self.conf)?;
        let image = Image::new(conf, self.repo_tag, self.store_root.as_deref())?;
        let cache = if self.no_cache { Cache::none() } else { Cache::of_user() };
        let mut options = engine::Options::default();
        if let Some(threads) = self.threads {
            options.threads = threads.into();
        }
        let progress = Progress::new();
        for warning in &image.warnings {
            progress.warn(warning);
        }
        Engine::new(&image, &cache).run(options, |engine, mut pieces| {
            sink::write_docker_archive(engine, &mut pieces, &mut output, &progress, self.verify)
        })
    }
}
