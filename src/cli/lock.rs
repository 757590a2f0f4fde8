//! `nix-image lock`.

use std::io::Write as _;

use anyhow::Context as _;

use super::source_args::SourceArgs;
use super::stdout;
use delivery::pull;

/// Print a lock file for pullImageByDigest
///
/// It holds the image's manifest, from which Nix fetches each blob separately, checked against the
/// digest in the manifest. Only the config is fetched now.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Prints the lock file to standard output.

Examples:
  # For `dockerTools.pullImageByDigest { lock = ./debian.lock.json; }`
  nix-image lock debian:12 > debian.lock.json

  # For another platform
  nix-image lock ghcr.io/me/app:1 --arch arm64 > app.lock.json")]
pub(super) struct Args {
    #[command(flatten)]
    source: SourceArgs,
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let mut out = stdout::lock()?;
        let source = self.source.find()?;
        let lock = pull::lock(&source, &self.source.platform())?;
        writeln!(out, "{lock:#}").context("writing to standard output")
    }
}
