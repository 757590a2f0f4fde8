//! `nix-image stream`.

use std::path::PathBuf;
use std::time::Instant;

use super::global::NoJson;
use super::image_args::{ImageArgs, ReadingArgs, TagArg};
use super::stdout;
use crate::report::{self, Delivered, Done, Means, Mode, Style};
use delivery::output::Output;
use delivery::{DockerArchive, Observer as _, Sink as _};

/// Write an image to standard output as a docker-archive, byte for byte as nixpkgs does
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Prints the archive to standard output.

Examples:
  # Load an image with docker's own command
  nix-image stream ./result | docker load

  # Write it under another name
  nix-image stream ./result -t app:2 > image.tar

  # Compress it
  nix-image stream ./result | zstd > image.tar.zst")]
pub(super) struct Args {
    #[command(flatten)]
    image: ImageArgs,
    /// Hash each layer again as it is written
    #[arg(long)]
    verify: bool,
    #[command(flatten)]
    no_json: NoJson,
}

impl Args {
    /// The arguments of the drop-in.
    pub(super) fn drop_in(conf: PathBuf, tag: Option<String>) -> Self {
        let (tag, reading) = (TagArg { tag }, ReadingArgs::default());
        let image = ImageArgs { conf, tag, reading };
        Self { image, verify: false, no_json: NoJson::default() }
    }

    pub(super) fn run(self, mode: Mode) -> anyhow::Result<()> {
        self.no_json.check("archive")?;
        let start = Instant::now();
        stdout::check()?;
        let mut output = Output::stdout()?;
        let image = self.image.image()?;
        let report = report::new(mode, Style::STREAM);
        image.warnings().iter().for_each(|warning| report.warn(warning));
        let cache = self.image.reading.cache();
        let digester = self.image.reading.digester(&image, &cache, &report);
        let mut archive = DockerArchive::new(&mut output).verify(self.verify);
        let transfer = archive.write(&digester, &report)?;
        report.conclude(&Delivered {
            done: Done::Streamed,
            place: "standard output".into(),
            references: vec![image.repo_tag().to_owned()],
            image_id: None,
            digest: None,
            transfer,
            means: Means::Whole("written"),
            start,
        })
    }
}
