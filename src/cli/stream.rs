//! `nix-image stream`.

use std::path::PathBuf;

use super::image_args::{ImageArgs, ReadingArgs};
use super::stdout;
use crate::report::{self, Mode, Style};
use delivery::sink::{self, Output};
use image::engine::Engine;

/// Write an image to standard output as a docker-archive, byte for byte what nixpkgs writes
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    image: ImageArgs,
    /// Hash each layer again while it is written
    #[arg(long)]
    verify: bool,
}

impl Args {
    /// What the drop-in's few arguments mean.
    pub(super) fn drop_in(conf: PathBuf, repo_tag: Option<String>) -> Self {
        let image = ImageArgs { conf, repo_tag, reading: ReadingArgs::default() };
        Self { image, verify: false }
    }

    pub(super) fn run(self, mode: Mode) -> anyhow::Result<()> {
        stdout::check()?;
        let mut output = Output::stdout()?;
        let image = self.image.image()?;
        let report = report::new(mode, Style::Sentences);
        image.warnings.iter().for_each(|warning| report.warn(warning));
        let reading = &self.image.reading;
        Engine::new(&image, &reading.cache()).run(reading.options(), |engine, mut pieces| {
            sink::write_docker_archive(engine, &mut pieces, &mut output, &*report, self.verify)
        })
    }
}
