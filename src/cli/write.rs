//! `nix-image write`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, bail};

use super::image_args::{ImageArgs, full_name, image_id};
use super::stdout;
use crate::report::{self, Delivered, Done, Means, Mode, Style};
use delivery::output::{Output, write_file};
use delivery::{DockerArchive, Error, Observer as _, OciArchive, OciLayout, Sink as _};
use image::{Image, remove_on_signals};

/// Write an image to a directory or file
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Prints the archive to standard output if PATH is -, and otherwise nothing.

Examples:
  # Write an OCI layout, or add to one
  nix-image write ./result layout --format oci

  # Write a single file for docker, podman, skopeo or containerd
  nix-image write ./result image.tar --format oci-archive

  # Write an image for two platforms
  nix-image write ./result-amd64 layout --format oci --platform-conf ./result-arm64

  # Write it to standard output
  nix-image write ./result - --format oci-archive | gzip > image.tar.gz")]
pub(super) struct Args {
    #[command(flatten)]
    image: ImageArgs,
    /// The directory of an OCI layout, which is created or added to, or the archive's file; `-`
    /// writes an archive to standard output
    path: PathBuf,
    /// What to write
    #[arg(long, value_enum)]
    format: Format,
    /// The program or conf of the same image for another platform, to write an index; may be given
    /// several times
    #[arg(long, value_name = "CONF")]
    platform_conf: Vec<PathBuf>,
    /// Hash the blobs that a layout already has, and replace damaged ones; archives are always
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
                "an OCI layout is a directory and cannot go to standard output; name a directory, \
                 or write an archive with `--format oci-archive`"
            );
        }
        if self.format == Format::Oci && is_tar(&self.path) && !self.path.exists() {
            bail!(
                "`{}` is the name of an archive, and `--format oci` writes a directory; use \
                 `--format oci-archive`, or another name",
                self.path.display()
            );
        }
        if self.format == Format::DockerArchive && !self.platform_conf.is_empty() {
            bail!(
                "a docker-archive cannot hold images for several platforms; use `--format oci` or \
                 `--format oci-archive`"
            );
        }
        let mut images = self.images()?;
        if mode.json && self.is_stdout() {
            bail!("`--json` prints to standard output, which is for the archive");
        }
        let report = &report::new(mode, Style::WRITE);
        images.iter().flat_map(Image::warnings).for_each(|warning| report.warn(warning));
        // A docker-archive has the name exactly as the conf writes it.
        let name = match self.format {
            Format::DockerArchive => None,
            Format::Oci | Format::OciArchive => Some(full_name(&mut images[0])?),
        };
        let image = &images[0];
        let cache = self.image.reading.cache();
        let digester = |image| self.image.reading.digester(image, &cache, report);
        let digesters: Vec<_> = images.iter().map(digester).collect();
        report.begin(&match self.path.to_str() {
            Some("-") => format!("writing {} to standard output", image.repo_tag()),
            _ => format!("writing {} to `{}`", image.repo_tag(), self.path.display()),
        });
        remove_on_signals().context("waiting for signals")?;
        let (transfer, manifest) = match (self.format, &name) {
            (Format::Oci, Some(name)) => {
                let mut layout = OciLayout::open(&self.path, name)?.verify(self.verify);
                (layout.write_platforms(&digesters, report)?, layout.digest())
            }
            (_, Some(name)) => self.write_file(|output| {
                let mut archive = OciArchive::new(output, name);
                Ok((archive.write_platforms(&digesters, report)?, archive.digest()))
            })?,
            (_, None) => self.write_file(|output| {
                let mut archive = DockerArchive::new(output).verify(true);
                Ok((archive.write(&digesters[0], report)?, None))
            })?,
        };
        report.conclude(&Delivered {
            done: Done::Wrote,
            place: self.path.display().to_string(),
            references: vec![image.repo_tag().to_owned()],
            image_id: match &*digesters {
                [digester] => Some(image_id(digester)?),
                _ => None,
            },
            digest: manifest,
            transfer,
            means: Means::Whole("written"),
            start,
        })
    }

    /// The image, and those for other platforms.
    fn images(&self) -> anyhow::Result<Vec<Image>> {
        let reading = &self.image.reading;
        let further = self.platform_conf.iter().map(|conf| reading.image(conf, None));
        [self.image.image()].into_iter().chain(further).collect()
    }

    fn is_stdout(&self) -> bool {
        STDOUT.iter().any(|name| self.path == Path::new(name))
    }

    /// Writes the archive to the file, or to standard output if the file is one of its names.
    fn write_file<T>(
        &self,
        write: impl FnOnce(&mut Output) -> Result<T, Error>,
    ) -> anyhow::Result<T> {
        // Opening it by name would write from its start, over whatever it already holds.
        if self.is_stdout() {
            stdout::check()?;
            return write(&mut Output::stdout()?).context("writing standard output");
        }
        Ok(write_file(&self.path, write)?)
    }
}

/// Whether a path has the name of an archive.
fn is_tar(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("tar"))
}
