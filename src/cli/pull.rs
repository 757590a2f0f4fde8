//! `nix-image pull`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, bail};

use super::source_args::{FinalNameArgs, SourceArgs};
use super::stdout;
use crate::report::{self, Delivered, Done, Means, Mode, Report, Style};
use delivery::output::{write_seekable, write_seekable_stdout};
use delivery::pull::{PullError, write_archive, write_blob};
use delivery::{Observer as _, Step};
use image::remove_on_signals;

/// Pull an image from a registry into a docker-archive
///
/// The archive is the one that `skopeo copy docker://IMAGE docker-archive:OUT` writes, byte for
/// byte, so the hashes of nixpkgs' pullImage are valid for it. Layers are checked against their
/// digests, and stored uncompressed.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Prints the archive to standard output if OUT is -, and otherwise nothing.

Examples:
  # Pull an image into an archive
  nix-image pull debian:12 debian.tar

  # Pull the image for another platform, and change its tag
  nix-image pull ghcr.io/me/app:1 app.tar --arch arm64 --final-tag 1-arm64

  # Pull it into docker
  nix-image pull alpine - | docker load")]
pub(super) struct Args {
    #[command(flatten)]
    source: SourceArgs,
    /// The file to write, or `-` for standard output
    out: PathBuf,
    #[command(flatten)]
    name: FinalNameArgs,
    /// Write a single blob instead of an archive: IMAGE's digest is that of the blob, which has
    /// this many bytes
    #[arg(long, value_name = "BYTES", conflicts_with_all = ["final_name", "final_tag"])]
    blob_size: Option<u64>,
}

impl Args {
    pub(super) fn run(self, mode: Mode) -> anyhow::Result<()> {
        if mode.json && self.is_stdout() {
            bail!("`--json` prints to standard output, which is for the archive");
        }
        let report = &report::new(mode, Style::PULL);
        match self.blob_size {
            Some(size) => self.pull_blob(size, report),
            None => self.pull_image(report),
        }
    }

    fn pull_image(&self, report: &Report) -> anyhow::Result<()> {
        let start = Instant::now();
        let name = self.name.resolve(&self.source.reference()?)?;
        report.begin(&format!("pulling {name}"));
        // An output that cannot be written fails before any request.
        let (transfer, source) = self.write(|file| {
            report.step(Step::Asking("the registry"), None);
            let source = self.source.find()?;
            Ok((write_archive(&source, &name, file, report)?, source))
        })?;
        report.conclude(&Delivered {
            done: Done::Pulled,
            place: self.out.display().to_string(),
            references: vec![name.to_string()],
            image_id: Some(source.image_id()),
            digest: Some(source.manifest_digest()),
            transfer,
            means: Means::Whole("fetched"),
            start,
        })
    }

    fn pull_blob(&self, size: u64, report: &Report) -> anyhow::Result<()> {
        let reference = self.source.reference()?;
        let Some(digest) = reference.digest else {
            bail!("`{reference}` has no digest; name the blob as NAME@sha256:…");
        };
        let options = self.source.options();
        self.write(|file| write_blob(&reference, digest, size, &options, file, report))
            .with_context(|| format!("pulling the blob {digest}"))
    }

    fn is_stdout(&self) -> bool {
        self.out == Path::new("-")
    }

    fn write<T>(&self, write: impl FnOnce(&File) -> Result<T, PullError>) -> anyhow::Result<T> {
        if self.is_stdout() {
            stdout::check()?;
            return Ok(write_seekable_stdout(write)?);
        }
        remove_on_signals().context("waiting for signals")?;
        Ok(write_seekable(&self.out, write)?)
    }
}
