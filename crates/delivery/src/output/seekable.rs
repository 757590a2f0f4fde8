//! Files that are not written strictly from start to end.

use std::fs::{self, File};
use std::io::{self, Seek as _};
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{FileType, OFlags, fcntl_getfl, fstat};

use super::file::replace_file;
use crate::Error;
use crate::error::OutputError;
use image::FileError;

/// Writes a file, which gets its name once it is complete and synced to disk. If a pipe or device
/// has that name, the content is copied to it once it is complete.
pub fn write_seekable<T, E: From<Error> + From<FileError>>(
    path: &Path,
    write: impl FnOnce(&File) -> Result<T, E>,
) -> Result<T, E> {
    let found = fs::metadata(path);
    if found.as_ref().is_ok_and(fs::Metadata::is_dir) {
        return Err(Error::IsDirectory(path.to_owned()).into());
    }
    if found.is_ok_and(|found| !found.is_file()) {
        let opened = File::options().write(true).open(path);
        let opened = opened.map_err(|error| FileError::new("writing", path, error))?;
        return spool(&opened, write);
    }
    replace_file(path, write)
}

/// Writes standard output. If that is a file that can be read and written at any position, as with
/// `1<> FILE` in a shell, it is written directly, otherwise once the content is complete.
pub fn write_seekable_stdout<T, E: From<Error> + From<FileError>>(
    write: impl FnOnce(&File) -> Result<T, E>,
) -> Result<T, E> {
    let file = io::stdout().as_fd().try_clone_to_owned().map(File::from);
    let file = file.map_err(|error| Error::from(OutputError::Stdout(error)))?;
    if rustix::termios::isatty(&file) {
        return Err(Error::from(OutputError::Terminal).into());
    }
    if is_seekable(&file) { write(&file) } else { spool(&file, write) }
}

/// Whether a file can be read and written at any position.
fn is_seekable(file: &File) -> bool {
    let is_file = fstat(file)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile);
    let modes = OFlags::RDWR | OFlags::APPEND;
    is_file && fcntl_getfl(file).is_ok_and(|flags| flags & modes == OFlags::RDWR)
}

/// Writes an unnamed file, and copies it to the output once it is complete.
fn spool<T, E: From<Error>>(
    mut output: &File,
    write: impl FnOnce(&File) -> Result<T, E>,
) -> Result<T, E> {
    let failed = |source| Error::from(OutputError::Write { what: "the archive", source });
    let mut file = tempfile::tempfile().map_err(failed)?;
    let result = write(&file)?;
    file.rewind().and_then(|()| io::copy(&mut file, &mut output)).map_err(failed)?;
    Ok(result)
}
