//! `nix-image build-image changes`.

use std::path::{Path, PathBuf};

use crate::cli::existing::{self, write_to};
use delivery::export::export_changes;

/// Write, as a tar file, what a tree adds to the base image that it was made from, with whiteouts
/// for what it removed
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The base image
    base: String,
    /// Tar file of the tree
    tree: PathBuf,
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let base = existing::open(&self.base, None, None)?;
        write_to(Path::new("-"), |output| export_changes(base.layers(), &self.tree, output))?;
        Ok(())
    }
}
