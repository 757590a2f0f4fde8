//! `nix-image export`.

use std::path::PathBuf;

use super::existing::{ExistingArgs, Making};
use crate::report::{Mode, Style};
use delivery::export::export;

/// Write the root file system of an image, with its layers merged, as one tar file
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Prints the tar file to standard output, unless --output names a file.

Examples:
  # Write an image's files to a tar file
  nix-image export ./result -o rootfs.tar

  # Unpack them
  nix-image export docker-image.tar.gz | tar -x -C rootfs

  # Make a one-layer image, with the same time for all files
  nix-image export 'layout#ghcr.io/me/app:1' --mtime 0 | docker import - app")]
pub(super) struct Args {
    /// The image: a docker-archive, an OCI archive or layout, a conf, or the program that streams
    /// it; PATH#NAME selects one of several
    image: String,
    /// The file to write; `-` is standard output
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    /// Modification time for all entries, in seconds since 1970 [default: each its own]
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    mtime: Option<i64>,
    #[command(flatten)]
    existing: ExistingArgs,
}

impl Args {
    pub(super) fn run(self, mode: Mode) -> anyhow::Result<()> {
        let image = self.existing.open(&self.image)?;
        let making = Making {
            what: "exported",
            style: Style::EXPORT,
            images: std::slice::from_ref(&self.image),
            path: &self.output,
        };
        making.run(mode, |output| export(image.layers(), self.mtime, output))
    }
}
