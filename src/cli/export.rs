//! `nix-image export`.

use std::path::PathBuf;

use super::existing::{ExistingArgs, write_to};
use delivery::export::export;

const EXAMPLES: &str = "\
Examples:
  nix-image export ./result -o rootfs.tar
  nix-image export docker-image.tar.gz | tar -x -C rootfs
  nix-image export 'layout#ghcr.io/me/app:1' --mtime 0 | docker import - app";

/// Write the root file system of an image as one tar file, its layers merged
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The image: a docker-archive, an OCI archive or layout, a conf, or the program that streams it;
    /// PATH#NAME is one of several
    image: String,
    /// The file to write; `-` is standard output
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    /// Time of all entries, in seconds since 1970 [default: each its own]
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    mtime: Option<i64>,
    #[command(flatten)]
    existing: ExistingArgs,
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let image = self.existing.open(&self.image)?;
        write_to(&self.output, |output| export(image.layers(), self.mtime, output))?;
        Ok(())
    }
}
