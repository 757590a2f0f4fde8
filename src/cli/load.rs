//! `nix-image load`.

use std::time::{Duration, Instant};

use super::hint;
use super::image_args::{ImageArgs, full_name};
use crate::report::{self, Deed, Mode, Style, Summary};
use delivery::Step;
use delivery::load::{Delivery, Kind, Loaded, Way};
use image::Blobs;

/// Load an image into a container engine, and send only the layers that it lacks
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    image: ImageArgs,
    /// The engine; `auto` takes the first of docker, podman and containerd that is there
    #[arg(long, value_enum, default_value_t = EngineArg::Auto)]
    engine: EngineArg,
    /// How long the engine may take to answer; for its work, ten times that without a sign of it
    #[arg(long, value_name = "SECONDS", default_value = "60",
          value_parser = clap::value_parser!(u32).range(1..))]
    timeout: u32,
    /// Deliver in this way alone
    #[arg(long, value_enum, hide = true)]
    way: Option<WayArg>,
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

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum WayArg {
    /// An archive without the layers that the engine holds
    Archive,
    /// A registry on the loopback that the engine pulls from
    Pull,
    /// The whole archive
    Stream,
}

impl EngineArg {
    /// The engine that is named, unless it is to be found.
    fn kind(self) -> Option<Kind> {
        match self {
            Self::Auto => None,
            Self::Docker => Some(Kind::Docker),
            Self::Podman => Some(Kind::Podman),
            Self::Containerd => Some(Kind::Containerd),
        }
    }

    /// What to do where it is not there, in words that go on from that.
    fn others(self) -> &'static str {
        match self {
            Self::Auto | Self::Docker | Self::Containerd => {
                ", or name another engine, as with `--engine podman`"
            }
            Self::Podman => ", or name another engine, as with `--engine docker`",
        }
    }
}

impl From<WayArg> for Way {
    fn from(way: WayArg) -> Self {
        match way {
            WayArg::Archive => Self::Archive,
            WayArg::Pull => Self::Pull,
            WayArg::Stream => Self::Stream,
        }
    }
}

impl Args {
    pub(super) fn run(self, mode: Mode) -> anyhow::Result<()> {
        let start = Instant::now();
        let mut image = self.image.image()?;
        let name = full_name(&mut image)?;
        let report = report::new(mode, Style::Bytes { verb: "Sent", verbose: false });
        image.warnings().iter().for_each(|warning| report.warn(warning));
        let timeout = Duration::from_secs(self.timeout.into());
        let kind = Kind::find(self.engine.kind(), timeout, &*report)
            .map_err(|error| hint::NoEngine { error: error.into(), hint: self.engine.others() })?;
        report.step(Step::Reading, None);
        let cache = self.image.reading.cache();
        let digester = self.image.reading.digester(&image, &cache);
        let blobs = Blobs::find(&digester)?;
        let delivery = Delivery {
            blobs: &blobs,
            name: &name,
            observer: &*report,
            way: self.way.map(Way::from),
            timeout,
        };
        let Loaded { into, transfer } = delivery.load_into(kind)?;
        let deed = Deed::Loaded { image: image.repo_tag(), engine: &into };
        report.conclude(&Summary { deed, transfer, start });
        Ok(())
    }
}
