//! `nix-image merge`.

use std::path::PathBuf;

use image::cache::Cache;
use image::threads::cores;
use oci::Compression;

use super::existing::{ExistingArgs, Making};
use crate::report::{Mode, Style};
use delivery::merge::{Input, merge};

/// Merge images into one docker-archive, member by member, without unpacking them
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Prints the archive to standard output, unless --output names a file.

Examples:
  # Merge two archives into a file
  nix-image merge app.tar.gz db.tar -o both.tar

  # Load two images at once
  nix-image merge ./app ./db | docker load

  # Merge an image from a layout with another image, and compress the archive
  nix-image merge 'layout#ghcr.io/me/app:1' ./db --compress zstd -o both.tar.zst")]
pub(super) struct Args {
    /// The images: docker-archives with everything in them, OCI archives and layouts, confs, or the
    /// programs that stream them; PATH#NAME selects one of several
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
    /// The file to write; `-` is standard output
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    /// How to compress the file; `auto` uses the last image's compression
    #[arg(long, value_enum, default_value_t, value_name = "HOW")]
    compress: Compress,
    /// Do not use or update the cache of layer digests
    #[arg(long)]
    no_cache: bool,
    #[command(flatten)]
    existing: ExistingArgs,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Compress {
    #[default]
    Auto,
    None,
    Gzip,
    Zstd,
}

impl Args {
    pub(super) fn run(self, mode: Mode) -> anyhow::Result<()> {
        let inputs = self.images.iter().map(|image| self.existing.input(image));
        let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
        let compression = match self.compress {
            Compress::Auto => inputs.last().map(Input::compression).unwrap_or_default(),
            Compress::None => Compression::None,
            Compress::Gzip => Compression::Gzip,
            Compress::Zstd => Compression::Zstd,
        };
        let cache = if self.no_cache { Cache::none() } else { Cache::of_user() };
        let making = Making {
            what: "merged",
            style: Style::MERGE,
            images: &self.images,
            path: &self.output,
        };
        making.run(mode, |output| merge(inputs, compression, (&cache, cores()), output))
    }
}
