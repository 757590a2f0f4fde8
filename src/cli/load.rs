//! `nix-image load`.

use std::time::{Duration, Instant};

use anyhow::bail;

use super::image_args::{ImageArgs, full_name};
use super::{hint, stdout};
use crate::report::{self, Delivered, Done, Means, Mode, Style};
use delivery::load::{Delivery, Engine, How, Import, Imported, Kind, Loaded, Preview, Way};
use delivery::{Observer as _, Step};
use formats::digest::Digest;
use image::Blobs;

/// Load an image into a container engine, sending only the layers that it lacks
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Prints nothing to standard output, or with --dry-run a line for each layer that the engine lacks:
its diffID and its size in bytes.

Examples:
  # Load an image into this machine's engine
  nix-image load ./result

  # Load it into podman, under another name
  nix-image load ./result -t app:2 --engine podman

  # Show whether it would be linked or sent, and why
  nix-image load ./result --dry-run

  # Load it into dockerd on another machine
  DOCKER_HOST=ssh://host nix-image load ./result")]
pub(super) struct Args {
    #[command(flatten)]
    image: ImageArgs,
    /// The engine; `auto` takes the first of docker, podman and containerd that it finds
    #[arg(long, value_enum, default_value_t = EngineArg::Auto)]
    engine: EngineArg,
    /// How to get layers to where the engine stores them unpacked, if that is possible
    #[arg(long, value_enum, value_name = "HOW", default_value_t)]
    import: ImportArg,
    /// Do not give containerd the blobs of linked layers: containers run, but the image cannot be
    /// pushed or exported
    #[arg(long)]
    without_content: bool,
    /// Print which layers the engine lacks and how it would get them, without loading anything
    #[arg(long)]
    dry_run: bool,
    /// How long to wait for the engine to answer; ten times as long while it is working
    #[arg(long, value_name = "SECONDS", default_value = "60",
          value_parser = clap::value_parser!(u32).range(1..))]
    timeout: u32,
    /// Deliver only in this way
    #[arg(long, value_enum, hide = true)]
    way: Option<WayArg>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum EngineArg {
    /// The first one found
    Auto,
    /// dockerd, through its API: `DOCKER_HOST`, or the docker context
    Docker,
    /// podman, through its command
    Podman,
    /// containerd, through nerdctl or ctr
    Containerd,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum ImportArg {
    /// The first of these ways that works; if none does, the image is sent
    #[default]
    Auto,
    /// Hard links to the store's files
    Link,
    /// Files that share blocks with the store's files (btrfs, xfs)
    Reflink,
    /// Copies
    Copy,
    /// No import: the image is sent to the engine
    Off,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum WayArg {
    /// An archive without the layers that the engine has
    Archive,
    /// A registry on the loopback interface, which the engine pulls from
    Pull,
    /// The whole archive
    Stream,
}

impl EngineArg {
    /// The named engine, or `None` if one has to be found.
    fn kind(self) -> Option<Kind> {
        match self {
            Self::Auto => None,
            Self::Docker => Some(Kind::Docker),
            Self::Podman => Some(Kind::Podman),
            Self::Containerd => Some(Kind::Containerd),
        }
    }

    /// The hint if it is not found.
    fn others(self) -> &'static str {
        match self {
            Self::Auto | Self::Docker | Self::Containerd => {
                "name another engine, as with `--engine podman`"
            }
            Self::Podman => "name another engine, as with `--engine docker`",
        }
    }
}

impl From<ImportArg> for Import {
    fn from(import: ImportArg) -> Self {
        match import {
            ImportArg::Auto => Self::Auto,
            ImportArg::Link => Self::Link,
            ImportArg::Reflink => Self::Reflink,
            ImportArg::Copy => Self::Copy,
            ImportArg::Off => Self::Off,
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
        if self.dry_run {
            stdout::check()?;
        }
        if self.without_content && matches!(self.engine, EngineArg::Podman) {
            bail!("`--without-content` is about containerd's blobs, and podman has none; drop it");
        }
        // The point of a preview is to show whether layers would be linked.
        let mode = Mode { verbose: mode.verbose || self.dry_run, ..mode };
        let mut image = self.image.image()?;
        let name = full_name(&mut image)?;
        let report = report::new(mode, Style::LOAD);
        if !self.dry_run {
            report.begin(&format!("loading {}", image.repo_tag()));
        }
        image.warnings().iter().for_each(|warning| report.warn(warning));
        let timeout = Duration::from_secs(self.timeout.into());
        // Choosing another way of delivery rules out an import.
        let import = self.way.map_or_else(|| self.import.into(), |_| Import::Off);
        let cache = self.image.reading.cache();
        let engine = Engine::find(self.engine.kind(), import, timeout, &cache, &report)
            .map_err(|error| hint::NoEngine { error: error.into(), hint: self.engine.others() })?;
        report.step(Step::Reading, None);
        let digester = self.image.reading.digester(&image, &cache, &report);
        let digester =
            if engine.wants_tar_splits() { digester.with_tar_splits() } else { digester };
        let blobs = Blobs::find(&digester)?;
        let delivery = Delivery {
            blobs: &blobs,
            name: &name,
            observer: &report,
            content: !self.without_content,
            way: self.way.map(Way::from),
            timeout,
        };
        let conclude = |done, place, transfer, means| {
            report.conclude(&Delivered {
                done,
                place,
                references: vec![image.repo_tag().to_owned()],
                image_id: Some(Digest::of(blobs.config_json().as_bytes())),
                digest: None,
                transfer,
                means,
                start,
            })
        };
        if self.dry_run {
            let Preview { into, missing, transfer, how } = delivery.preview(engine)?;
            for layer in missing {
                report.print(&format!("{} {}", layer.digest, layer.size))?;
            }
            return conclude(Done::WouldLoad, into, transfer, Means::Whole(in_words(how)));
        }
        let Loaded { into, transfer, imported } = delivery.load_into(engine)?;
        let means = imported.map_or(Means::Whole("sent"), |imported| {
            let Imported { linked, reflinked, copied } = imported;
            Means::Files { linked, reflinked, copied }
        });
        conclude(Done::Loaded, into, transfer, means)
    }
}

/// How layers would get into an engine.
fn in_words(how: How) -> &'static str {
    match how {
        How::Placed => "linked or copied",
        How::Linked => "linked",
        How::Reflinked => "reflinked",
        How::Copied => "copied",
        How::Sent => "sent",
    }
}
