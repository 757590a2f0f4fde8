//! Files that are there as a whole or not at all, directories of a certain mode, and trees that
//! have to go.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;

use crate::error::{Context as _, Error};

/// What the names of unfinished files start with.
const PREFIX: &str = ".nix-image-";
/// And end with.
const SUFFIX: &str = ".tmp";

/// Writes a file of this mode in place of whatever has its name.
pub(crate) fn write_atomically(
    path: &Path,
    mode: u32,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<(), Error> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let temporary = tempfile::Builder::new().prefix(PREFIX).suffix(SUFFIX).tempfile_in(directory);
    let mut temporary = temporary.context("creating a file in", directory)?;
    let file = temporary.as_file_mut();
    let written = write(file)
        .and_then(|()| file.set_permissions(Permissions::from_mode(mode)))
        .and_then(|()| file.sync_all());
    written.context("writing", path)?;
    temporary.persist(path).map_err(|error| error.error).context("writing", path)?;
    Ok(())
}

/// Removes what killed runs have left in a directory that nobody else may write to now.
pub(crate) fn remove_unfinished(directory: &Path) {
    // Litter is no reason to fail.
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(PREFIX) && name.ends_with(SUFFIX) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Makes a directory of this mode, whatever the umask.
pub(crate) fn make_directory(path: &Path, mode: u32) -> Result<(), Error> {
    let made = DirBuilder::new().mode(mode).create(path);
    made.and_then(|()| set_mode(path, mode)).context("creating", path)
}

pub(crate) fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode))
}

/// Removes a tree, if it is there. Its files are left as they are but for their number of links.
pub(crate) fn remove_tree(path: &Path) -> Result<(), Error> {
    let removed = match fs::remove_dir_all(path) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            open_directories(path);
            fs::remove_dir_all(path)
        }
        removed => removed,
    };
    match removed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed.context("removing", path),
    }
}

/// Lets the owner of a tree's directories, who is not root, remove what is in them.
fn open_directories(path: &Path) {
    let _ = set_mode(path, 0o700);
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            open_directories(&entry.path());
        }
    }
}
