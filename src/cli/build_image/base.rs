//! The base of a one-layer image, as a docker-archive.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tempfile::TempPath;

use crate::cli::existing;
use delivery::output::Output;
use delivery::{DockerArchive, Sink as _};
use image::conf::Form;
use image::{Digester, Existing, Image};

/// A docker-archive, either the user's or a temporary one.
#[derive(Debug)]
pub(super) enum DockerArchiveFile {
    /// The user's own file.
    Given(PathBuf),
    /// A temporary file, deleted when this value is dropped.
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

/// The image of this name as a docker-archive. A docker-archive is used as it is, member for
/// member; any other image is written as one, with its layers decompressed.
pub(super) fn docker_archive(
    name: &str,
    architecture: Option<&str>,
    store_root: Option<&Path>,
) -> anyhow::Result<DockerArchiveFile> {
    let path = Path::new(name);
    // Errors in a docker-archive are reported by the code that reads it later.
    let is_file = path.is_file() && matches!(Form::of(path), Ok(Form::Other));
    let existing = match existing::open(name, architecture, store_root) {
        Ok(Existing::Stored(stored)) if is_file && !stored.is_layout() => {
            return Ok(DockerArchiveFile::Given(path.to_owned()));
        }
        Err(_) if is_file => return Ok(DockerArchiveFile::Given(path.to_owned())),
        existing => existing.context("the base image cannot be used")?,
    };
    let image = match existing {
        Existing::Made(image) => *image,
        // Nothing reads the name.
        Existing::Stored(stored) => Image::of_stored(stored, Some("base".to_owned()), path)?,
    };
    let file = tempfile::NamedTempFile::new().context("creating a file for the base image")?;
    let mut output = Output::of_file(file.as_file()).context("writing the base image")?;
    let digester = Digester::new(&image);
    DockerArchive::new(&mut output).verify(true).write(&digester, &())?;
    Ok(DockerArchiveFile::Made(file.into_temp_path()))
}
