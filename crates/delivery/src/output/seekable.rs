//! Files in which what comes late is written at an earlier place.

use std::fs::{self, File};
use std::io::{self, Seek as _};
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{FileType, OFlags, fcntl_getfl, fstat};

use super::file::replace_file;
use crate::Error;
use crate::error::OutputError;
use image::FileError;

/// Has a file written that gets its name when it is complete and on the disk. A pipe or device
/// that has the name is given the content when it is complete.
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

/// Has standard output written. If that is a file that can be read and written at any place, as
/// with `1<> FILE` in a shell, it is written directly, and otherwise when the content is complete.
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

/// Whether a file can be read and written at any place.
fn is_seekable(file: &File) -> bool {
    let is_file = fstat(file)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile);
    let modes = OFlags::RDWR | OFlags::APPEND;
    is_file && fcntl_getfl(file).is_ok_and(|flags| flags & modes == OFlags::RDWR)
}

/// Has a nameless file written, and copies it when it is complete.
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
