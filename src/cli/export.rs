//! `nix-image export`.

use std::path::PathBuf;

use super::existing::{ExistingArgs, write_to};
use delivery::export::export;

/// Write the root file system of an image as one tar file, its layers merged
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Standard output carries the tar file, unless another file is named.

Examples:
  # Write the files of an image to a tar file
  nix-image export ./result -o rootfs.tar

  # Unpack them
  nix-image export docker-image.tar.gz | tar -x -C rootfs

  # Make an image of one layer, with the same time for all files
  nix-image export 'layout#ghcr.io/me/app:1' --mtime 0 | docker import - app")]
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
