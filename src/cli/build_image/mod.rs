//! `nix-image build-image`: the steps of the Nix function `buildImage`, which runs them in builds.

mod archive;
mod base;
mod changes;
mod copy;
mod layer;
mod root;

use clap::Subcommand;

/// Make a one-layer image, in the steps that the Nix function buildImage takes
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Copy(copy::Args),
    Root(root::Args),
    Changes(changes::Args),
    Layer(layer::Args),
    Archive(archive::Args),
}

impl Command {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Copy(args) => args.run(),
            Self::Root(args) => super::unless_closed(args.run()),
            Self::Changes(args) => super::unless_closed(args.run()),
            Self::Layer(args) => args.run(),
            Self::Archive(args) => super::unless_closed(args.run()),
        }
    }
}
