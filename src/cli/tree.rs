//! `nix-image tree`.

use image::Depth;

use super::looked::LookArgs;
use super::stdout;
use crate::look::reasons;
use crate::report::{self, Mode, Style};

/// Show the store paths of an image as a tree: their references and sizes
///
/// A path that was shown before is marked with `…`, and its references are not repeated.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Prints a tree to standard output, or with --json an object: all paths with their references.

Examples:
  # Show the whole image
  nix-image tree ./result

  # Show what one path depends on
  nix-image tree ./result python3

  # Show an image in containerd
  nix-image tree containerd:ghcr.io/me/app:1

  # List all paths, the largest first
  nix-image tree ./result --json | jq -r '.paths | sort_by(-.size)[] | \"\\(.size) \\(.path)\"'")]
pub(super) struct Args {
    /// The image: the program that Nix built (`./result`) or its conf, an archive or layout (`PATH`
    /// or `PATH#NAME`), or an image elsewhere: `docker://NAME`, `docker-daemon:NAME`,
    /// `containers-storage:NAME` or `containerd:NAME`
    #[arg(value_name = "IMAGE")]
    looked_at: String,
    /// The store path to start from: the full path, its hash, or its name with or without the
    /// version [default: all paths that no other refers to]
    path: Option<String>,
    #[command(flatten)]
    look: LookArgs,
}

impl Args {
    pub(super) fn run(self, mode: Mode) -> anyhow::Result<()> {
        stdout::check()?;
        let report = report::new(mode, Style::READ);
        let looked = self.look.look(&self.looked_at, None, Depth::References, &report)?;
        let (contents, closure) = (&looked.contents, looked.closure()?);
        let path = self.path.as_ref().map(|path| looked.path(path)).transpose()?;
        let text = reasons::references(contents, &closure, path);
        report.answer(&text.trim_end(), &reasons::references_json(contents, &closure, path))
    }
}
