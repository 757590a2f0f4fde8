//! `nix-image load`.

use std::time::Instant;

use super::image_args::ImageArgs;
use super::summary::Summary;
use crate::engine::Blobs;
use crate::load::{Delivery, Kind, Way};
use crate::oci::Reference;
use crate::progress::Progress;

/// Load an image into a container engine, and send only the layers that it lacks
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    image: ImageArgs,
    /// The engine; `auto` takes the first of docker, podman and containerd that is there
    #[arg(long, value_enum, default_value_t = EngineArg::Auto)]
    engine: EngineArg,
    /// Deliver in this way alone
    #[arg(long, value_enum, hide = true)]
    way: Option<Way>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum EngineArg {
    /// The first one that is there
    Auto,
    /// dockerd, at its API: `DOCKER_HOST`, or the docker context
    Docker,
    /// podman, by its command
    Podman,
    /// containerd, by nerdctl or ctr
    Containerd,
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let start = Instant::now();
        let image = self.image.image()?;
        let name = Reference::parse(&image.repo_tag)?;
        let progress = Progress::quiet();
        for warning in &image.warnings {
            progress.warn(warning);
        }
        let (cache, options) = (self.image.reading.cache(), self.image.reading.options());
        let blobs = Blobs::find(&image, &cache, options)?;
        let kind = match self.engine {
            EngineArg::Auto => None,
            EngineArg::Docker => Some(Kind::Docker),
            EngineArg::Podman => Some(Kind::Podman),
            EngineArg::Containerd => Some(Kind::Containerd),
        };
        let way = self.way;
        let delivery = Delivery {
            blobs: &blobs,
            name: &name,
            cache: &cache,
            options,
            progress: &progress,
            way,
        };
        let written = delivery.load_into(kind)?;
        let summary = Summary { written, layers: image.layers.len(), size: blobs.size(), start };
        progress.conclude(&format!("loaded {}: {summary}", image.repo_tag));
        Ok(())
    }
}
