//! `nix-image write`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context as _;

use super::image_args::{ImageArgs, full_name};
use super::stdout;
use crate::report::{self, Deed, Mode, Report, Style, Summary};
use delivery::Transfer;
use delivery::sink::{self, Layout, NewFile, Output, Written, sync_directory};
use image::Image;
use image::cache::Cache;
use image::engine::{Blobs, Engine};

/// Write an image to a directory or file
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    image: ImageArgs,
    /// The directory of an OCI layout, to be made or to be added to, or the archive's file
    path: PathBuf,
    /// What to write
    #[arg(long, value_enum)]
    format: Format,
    /// Hash the blobs that a layout has already, and write those anew that are damaged; archives
    /// are hashed in any case
    #[arg(long)]
    verify: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A directory that holds many images and each blob once; an image is added to those in it
    Oci,
    /// A tar file of such a directory, which docker, podman, skopeo and containerd read
    OciArchive,
    /// The tar file that `stream` writes
    DockerArchive,
}

/// Names of standard output.
const STDOUT: [&str; 3] = ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"];

impl Args {
    pub(super) fn run(self, mode: Mode) -> anyhow::Result<()> {
        let start = Instant::now();
        let mut image = self.image.image()?;
        let report = &*report::new(mode, Style::Bytes { verb: "Wrote" });
        image.warnings.iter().for_each(|warning| report.warn(warning));
        let cache = self.image.reading.cache();
        let transfer = match self.format {
            Format::Oci => self.write_layout(&mut image, &cache, report)?,
            Format::OciArchive => self.write_oci_archive(&mut image, &cache)?,
            Format::DockerArchive => self.write_docker_archive(&image, &cache, report)?,
        };
        let deed = Deed::Wrote { image: &image.repo_tag, path: &self.path };
        report.conclude(&Summary { deed, transfer, start });
        Ok(())
    }

    fn write_layout(
        &self,
        image: &mut Image,
        cache: &Cache,
        report: &dyn Report,
    ) -> anyhow::Result<Transfer> {
        let name = full_name(image)?;
        let layout = Layout::open(&self.path)?;
        let blobs = Blobs::find(image, cache, self.image.reading.options())?;
        let added = layout.add(&blobs, &name, self.verify)?;
        for blob in &added.damaged {
            report.warn(&format!("`{}` was damaged and is written anew", blob.display()));
        }
        if let Some(names) = &added.chosen_by {
            report.warn(&format!(
                "`{}` has several images with the tag `{}`, so they are chosen by `{}`",
                self.path.display(),
                name.tag(),
                names.join("`, `")
            ));
        }
        let Written { layers, bytes } = added.written;
        let none = Transfer::none(image.layers.len(), blobs.size());
        Ok(Transfer { layers_sent: layers, bytes_sent: bytes, ..none })
    }

    fn write_oci_archive(&self, image: &mut Image, cache: &Cache) -> anyhow::Result<Transfer> {
        let name = full_name(image)?;
        let blobs = Blobs::find(image, cache, self.image.reading.options())?;
        self.write_file(|output| sink::write_oci_archive(&blobs, &name, output))?;
        Ok(Transfer::whole(image.layers.len(), blobs.size()))
    }

    fn write_docker_archive(
        &self,
        image: &Image,
        cache: &Cache,
        report: &dyn Report,
    ) -> anyhow::Result<Transfer> {
        let engine = Engine::new(image, cache);
        self.write_file(|output| {
            engine.run(self.image.reading.options(), |engine, mut pieces| {
                sink::write_docker_archive(engine, &mut pieces, output, report, true)
            })
        })?;
        Ok(Transfer::whole(image.layers.len(), engine.known_size()))
    }

    /// Has the file written that gets its name when it is complete.
    fn write_file(
        &self,
        write: impl FnOnce(&mut Output) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        // Opened by its name it would be written to from its start, whatever is in it.
        if STDOUT.iter().any(|name| self.path == Path::new(name)) {
            stdout::check()?;
            return write(&mut Output::stdout()?).context("writing standard output");
        }
        let directory = match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let writing = || format!("writing `{}`", self.path.display());
        let found = fs::metadata(&self.path);
        if found.as_ref().is_ok_and(fs::Metadata::is_dir) {
            anyhow::bail!(
                "`{}` is a directory; name a file, or write a directory with `--format oci`",
                self.path.display()
            );
        }
        // Pipes and devices are written to, and stay what they are.
        if found.is_ok_and(|found| !found.is_file()) {
            let file = File::options().write(true).open(&self.path).with_context(writing)?;
            return write(&mut Output::new(file.into())?).with_context(writing);
        }
        NewFile::remove_abandoned(directory);
        let file = NewFile::create_in(directory)?;
        let mut output = Output::new(file.handle()?)?;
        write(&mut output).with_context(writing)?;
        file.finish(&self.path)?;
        sync_directory(directory)
    }
}
