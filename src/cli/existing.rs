//! The arguments of commands that take existing images.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, bail};
use image::{Existing, Image, ImageError, remove_on_signals};
use oci::Platform;

use super::{conf, stdout};
use crate::report::{self, Archived, Mode, Style};
use delivery::merge::Input;
use delivery::output::{ObservedOutput, Output, Writer, write_file};
use delivery::{Error, Observer as _, Step};

/// How to find existing images.
#[derive(Debug, clap::Args)]
pub(super) struct ExistingArgs {
    /// The architecture to choose if an image has several, as Go names it [default: this machine's]
    #[arg(long, value_name = "ARCH")]
    architecture: Option<String>,
    /// Read /nix/store/... below this directory [default: ROOT, if the conf is in ROOT/nix/store]
    #[arg(long, value_name = "DIR")]
    store_root: Option<PathBuf>,
}

impl ExistingArgs {
    /// Opens the image of this name.
    pub(super) fn open(&self, name: &str) -> anyhow::Result<Existing> {
        if conf::is_stored(name) {
            return open(name, self.architecture.as_deref(), self.store_root.as_deref());
        }
        let (path, tag) = match name.rsplit_once('#') {
            Some((path, tag)) if !Path::new(name).exists() => (path, Some(tag)),
            _ => (name, None),
        };
        let conf::Found { mut conf, store_root } =
            conf::find(path.as_ref(), self.store_root.as_deref())?;
        // An image that is only read needs no name.
        let named = conf.repo_tag.get_or_insert_default();
        if let Some(tag) = tag.filter(|tag| tag != named) {
            return Err(ImageError::OneName(tag.to_owned()).into());
        }
        Ok(Existing::Made(Box::new(Image::open(conf, None, store_root.as_deref())?)))
    }

    /// Opens the image of this name to merge it with others.
    pub(super) fn input(&self, name: &str) -> anyhow::Result<Input> {
        if !conf::is_stored(name) {
            return Ok(Input::of_image(name, self.open(name)?));
        }
        let architecture = self.architecture.as_deref().unwrap_or(Platform::here());
        let input = Input::open(name, architecture, self.store_root.as_deref());
        Ok(input.map_err(Error::from)?)
    }
}

/// Opens the image of this name, for this architecture or this machine's.
pub(super) fn open(
    name: &str,
    architecture: Option<&str>,
    store_root: Option<&Path>,
) -> anyhow::Result<Existing> {
    Ok(Existing::open(name, architecture.unwrap_or(Platform::here()), store_root)?)
}

/// Calls `write` with the file, or with standard output for `-`.
pub(super) fn write_to<T>(
    path: &Path,
    write: impl FnOnce(&mut Output) -> Result<T, Error>,
) -> anyhow::Result<T> {
    if path == Path::new("-") {
        stdout::check()?;
        return Ok(write(&mut Output::stdout()?)?);
    }
    remove_on_signals().context("waiting for signals")?;
    Ok(write_file(path, write)?)
}

/// An archive that is made of existing images.
#[derive(Debug)]
pub(super) struct Making<'a> {
    /// What is done with the images, such as "merged", and how it is reported.
    pub(super) what: &'static str,
    pub(super) style: Style,
    pub(super) images: &'a [String],
    /// The file to write; `-` is standard output.
    pub(super) path: &'a Path,
}

impl Making<'_> {
    /// Calls `write` with the output, and reports the progress and the outcome.
    pub(super) fn run<T>(
        &self,
        mode: Mode,
        write: impl FnOnce(&mut dyn Writer) -> Result<T, Error>,
    ) -> anyhow::Result<()> {
        let start = Instant::now();
        let is_stdout = self.path == Path::new("-");
        if mode.json && is_stdout {
            bail!("`--json` prints to standard output, which is for the archive");
        }
        let report = report::new(mode, self.style);
        report.begin(&format!("{} {}", self.style.doing(), self.images.join(", ")));
        report.step(Step::Sending, None);
        let bytes = write_to(self.path, |output| {
            let mut output = ObservedOutput::new(output, &report);
            write(&mut output)?;
            Ok(output.position())
        })?;
        let images = self.images.to_vec();
        let place = self.path.display().to_string();
        report.conclude(&Archived { what: self.what, place, images, bytes, start })
    }
}
