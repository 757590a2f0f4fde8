//! The base of an image of one layer, which is made on top of a docker-archive.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tempfile::TempPath;

use crate::cli::existing;
use delivery::output::Output;
use delivery::{DockerArchive, Sink as _};
use image::conf::Form;
use image::{Digester, Existing, Image};

/// A docker-archive, which may have been made for the purpose.
#[derive(Debug)]
pub(super) enum DockerArchiveFile {
    /// It was there.
    Given(PathBuf),
    /// It goes with this.
    Made(TempPath),
}

impl DockerArchiveFile {
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Given(path) => path,
            Self::Made(path) => path,
        }
    }
}

/// The image of this name as a docker-archive. One that is one already stays as it is, to the last
/// member; of all else one is made, with the layers decompressed.
pub(super) fn docker_archive(
    name: &str,
    architecture: Option<&str>,
    store_root: Option<&Path>,
) -> anyhow::Result<DockerArchiveFile> {
    let path = Path::new(name);
    // What is wrong with a docker-archive is found by what reads it.
    let is_file = path.is_file() && matches!(Form::of(path), Ok(Form::Other));
    let existing = match existing::open(name, architecture, store_root) {
        Ok(Existing::Stored(stored)) if is_file && !stored.is_layout() => {
            return Ok(DockerArchiveFile::Given(path.to_owned()));
        }
        Err(_) if is_file => return Ok(DockerArchiveFile::Given(path.to_owned())),
        existing => existing?,
    };
    let image = match existing {
        Existing::Made(image) => *image,
        // Its name is not looked at.
        Existing::Stored(stored) => Image::of_stored(stored, Some("base".to_owned()), path)?,
    };
    let file = tempfile::NamedTempFile::new().context("making a file for the base image")?;
    let mut output = Output::of_file(file.as_file()).context("writing the base image")?;
    let digester = Digester::new(&image);
    DockerArchive::new(&mut output).verify(true).write(&digester, &())?;
    Ok(DockerArchiveFile::Made(file.into_temp_path()))
}
