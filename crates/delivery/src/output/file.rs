//! Archives in named files.

use std::fs::{self, File};
use std::path::Path;

use super::{Output, Writer as _};
use crate::Error;
use image::{AtomicFile, FileError, sync_directory};

/// Writes a file, which gets its name once it is complete and synced to disk. An existing pipe or
/// device with that name is written to directly.
pub fn write_file<T>(
    path: &Path,
    write: impl FnOnce(&mut Output) -> Result<T, Error>,
) -> Result<T, Error> {
    let found = fs::metadata(path);
    if found.as_ref().is_ok_and(fs::Metadata::is_dir) {
        return Err(Error::IsDirectory(path.to_owned()));
    }
    if found.is_ok_and(|found| !found.is_file()) {
        let file = File::options().write(true).open(path);
        let file = file.map_err(|error| FileError::new("writing", path, error))?;
        return write_to(&file, path, write);
    }
    replace_file(path, |file| write_to(file, path, write))
}

/// Writes a regular file, which gets its name once it is complete and synced to disk.
pub(super) fn replace_file<T, E: From<FileError>>(
    path: &Path,
    write: impl FnOnce(&File) -> Result<T, E>,
) -> Result<T, E> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    AtomicFile::remove_abandoned(directory);
    let file = AtomicFile::create_in(directory)?;
    let result = write(file.file())?;
    file.persist_durably(path)?;
    sync_directory(directory)?;
    Ok(result)
}

fn write_to<T>(
    file: &File,
    path: &Path,
    write: impl FnOnce(&mut Output) -> Result<T, Error>,
) -> Result<T, Error> {
    let run = || {
        let mut output = Output::of_file(file)?;
        let result = write(&mut output)?;
        output.flush()?;
        Ok(result)
    };
    run().map_err(|error| Error::writing(path, error))
}
