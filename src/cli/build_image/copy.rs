//! `nix-image build-image copy`.

use std::path::PathBuf;

use image::one_layer::{self, DirectoryLinks};

/// Copy the contents of directories into a root, as `rsync -a --chown=0:0` does
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The directory to copy into
    root: PathBuf,
    /// Directories to copy from, in order
    items: Vec<PathBuf>,
    /// Keep symlinks to directories instead of copying into the directories that they point to
    #[arg(long)]
    keep_dirlinks: bool,
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let links = if self.keep_dirlinks { DirectoryLinks::Keep } else { DirectoryLinks::Copy };
        for item in &self.items {
            one_layer::copy(item, &self.root, links)?;
        }
        Ok(())
    }
}
