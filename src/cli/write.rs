//! `nix-image write`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, bail};

use super::image_args::{ImageArgs, full_name};
use super::stdout;
use crate::report::{self, Deed, Mode, Style, Summary};
use delivery::output::{Output, write_file};
use delivery::{DockerArchive, Error, OciArchive, OciLayout, Sink as _, Transfer};

/// Write an image to a directory or file
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Standard output carries the archive if the path is -, and otherwise nothing.

Examples:
  # Write an OCI layout, or add to one
  nix-image write ./result layout --format oci

  # Write a single file that docker, podman, skopeo and containerd read
  nix-image write ./result image.tar --format oci-archive

  # Write it to standard output
  nix-image write ./result - --format oci-archive | gzip > image.tar.gz")]
pub(super) struct Args {
    #[command(flatten)]
    image: ImageArgs,
    /// The directory of an OCI layout, which is made or added to, or the archive's file; `-` writes
    /// an archive to standard output
    path: PathBuf,
    /// What to write
    #[arg(long, value_enum)]
    format: Format,
    /// Hash the blobs that a layout has already, and replace damaged ones; archives are always
    /// hashed
    #[arg(long)]
    verify: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A directory that holds several images and each blob once; the image is added to it
    Oci,
    /// A tar file of such a directory, which docker, podman, skopeo and containerd read
    OciArchive,
    /// The tar file that `stream` writes
    DockerArchive,
}

/// Names of standard output.
const STDOUT: [&str; 4] = ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"];

impl Args {
    pub(super) fn run(self, mode: Mode) -> anyhow::Result<()> {
        let start = Instant::now();
        if self.format == Format::Oci && self.path.as_os_str() == "-" {
            bail!(
                "an OCI layout is a directory, which standard output cannot hold; name one, or \
                 write an archive with `--format oci-archive`"
            );
        }
        let mut image = self.image.image()?;
        let report = &*report::new(mode, Style::Bytes { verb: "Wrote", verbose: false });
        image.warnings().iter().for_each(|warning| report.warn(warning));
        // An archive for Docker carries the name as it is written in the conf.
        let name = match self.format {
            Format::DockerArchive => None,
            Format::Oci | Format::OciArchive => Some(full_name(&mut image)?),
        };
        let cache = self.image.reading.cache();
        let digester = self.image.reading.digester(&image, &cache);
        let transfer = match (self.format, &name) {
            (Format::Oci, Some(name)) => {
                OciLayout::open(&self.path, name)?.verify(self.verify).write(&digester, report)?
            }
            (_, Some(name)) => {
                self.write_file(|output| OciArchive::new(output, name).write(&digester, report))?
            }
            (_, None) => self.write_file(|output| {
                DockerArchive::new(output).verify(true).write(&digester, report)
            })?,
        };
        let deed = Deed::Wrote { image: image.repo_tag(), path: &self.path };
        report.conclude(&Summary { deed, transfer, start });
        Ok(())
    }

    /// Has the archive written to the file, or to standard output by one of its names.
    fn write_file(
        &self,
        write: impl FnOnce(&mut Output) -> Result<Transfer, Error>,
    ) -> anyhow::Result<Transfer> {
        // Opened by its name it would be written to from its start, whatever is in it.
        if STDOUT.iter().any(|name| self.path == Path::new(name)) {
            stdout::check()?;
            return write(&mut Output::stdout()?).context("writing standard output");
        }
        Ok(write_file(&self.path, write)?)
    }
}
