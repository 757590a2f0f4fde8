//! `nix-image build-image root`.

use std::path::{Path, PathBuf};

use crate::cli::existing::{self, write_to};
use delivery::export::export_with;

/// Write the tree of a base image with files copied into its root, as a tar file
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The base image
    base: String,
    /// Tar file of the files to copy into the root
    contents: PathBuf,
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let base = existing::open(&self.base, None, None)?;
        write_to(Path::new("-"), |output| export_with(base.layers(), &self.contents, output))?;
        Ok(())
    }
}
