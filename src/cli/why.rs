//! `nix-image why`.

use image::Depth;

use super::looked::LookArgs;
use super::stdout;
use crate::look::reasons;
use crate::report::{self, Mode, Style};

/// Show why a store path is in an image: the shortest way to it, what needs it, and what would
/// leave the image with it
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Prints a tree and facts about the path to standard output, or a JSON object with --json.

Examples:
  # Show why openssl is in an image
  nix-image why ./result openssl

  # Show everything that needs it
  nix-image why ./result openssl --all

  # Show why it is in an image in podman
  nix-image why containers-storage:app:1 openssl

  # List what would leave the image with it
  nix-image why ./result openssl --json | jq -r '.would_leave.paths[]'")]
pub(super) struct Args {
    /// The image: the program that Nix built (`./result`) or its conf, an archive or layout (`PATH`
    /// or `PATH#NAME`), or an image elsewhere: `docker://NAME`, `docker-daemon:NAME`,
    /// `containers-storage:NAME` or `containerd:NAME`
    #[arg(value_name = "IMAGE")]
    looked_at: String,
    /// The store path: the full path, its hash, or its name with or without the version
    path: String,
    /// Show everything that needs the path, as a tree from the path up
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    look: LookArgs,
}

impl Args {
    pub(super) fn run(self, mode: Mode) -> anyhow::Result<()> {
        stdout::check()?;
        let report = report::new(mode, Style::READ);
        let looked = self.look.look(&self.looked_at, None, Depth::References, &report)?;
        let (contents, closure) = (&looked.contents, looked.closure()?);
        let path = looked.path(&self.path)?;
        let text = if self.all {
            reasons::users(contents, &closure, path)
        } else {
            reasons::why(contents, &closure, path)
        };
        report.answer(&text.trim_end(), &reasons::why_json(contents, &closure, path))
    }
}
