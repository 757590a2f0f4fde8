//! `nix-image build-image root`.

use std::path::{Path, PathBuf};

use crate::cli::existing::{self, write_to};
use delivery::export::export_with;

/// Write the tree that a base image and what is copied to its root make, as a tar file
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The base image
    base: String,
    /// Tar file of what is copied to the root
    contents: PathBuf,
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let base = existing::open(&self.base, None, None)?;
        write_to(Path::new("-"), |output| export_with(base.layers(), &self.contents, output))?;
        Ok(())
    }
}
