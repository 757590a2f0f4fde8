//! Files that are written completely or not at all, directories with a given mode, and the removal
//! of trees.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;

use tempfile::NamedTempFile;

use crate::error::{Context as _, Error};

/// The prefix of the names of unfinished files.
pub(crate) const PREFIX: &str = ".nix-image-";
/// The suffix of their names.
const SUFFIX: &str = ".tmp";
/// How many threads wait for the disk at the same time.
const SYNCING: usize = 16;

/// A complete file that does not have its final name yet.
#[derive(Debug)]
pub(crate) struct Unnamed {
    temporary: NamedTempFile,
    path: PathBuf,
}

impl Unnamed {
    /// Writes the content of a file that will have this path and mode.
    pub(crate) fn write(
        path: &Path,
        mode: u32,
        write: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> Result<Self, Error> {
        let directory = path.parent().unwrap_or(Path::new("."));
        let mut builder = tempfile::Builder::new();
        let temporary = builder.prefix(PREFIX).suffix(SUFFIX).tempfile_in(directory);
        let mut temporary = temporary.context("creating a file in", directory)?;
        let file = temporary.as_file_mut();
        let written = write(file).and_then(|()| file.set_permissions(Permissions::from_mode(mode)));
        written.context("writing", path)?;
        Ok(Self { temporary, path: path.to_owned() })
    }

    fn sync(&self) -> Result<(), Error> {
        self.temporary.as_file().sync_all().context("writing", &self.path)
    }
}

/// Syncs all files to disk, then gives each its name, replacing whatever has it.
pub(crate) fn name(files: Vec<Unnamed>) -> Result<(), Error> {
    sync(&files)?;
    for Unnamed { temporary, path } in files {
        temporary.persist(&path).map_err(|error| error.error).context("writing", &path)?;
    }
    Ok(())
}

/// Syncs files to disk. Threads that wait at the same time take about as long as one.
fn sync(files: &[Unnamed]) -> Result<(), Error> {
    if let [file] = files {
        return file.sync();
    }
    let sync_all = |files: &[Unnamed]| files.iter().try_for_each(Unnamed::sync);
    thread::scope(|scope| {
        let mut threads = Vec::new();
        for files in files.chunks(files.len().div_ceil(SYNCING).max(1)) {
            match thread::Builder::new().spawn_scoped(scope, move || sync_all(files)) {
                Ok(thread) => threads.push(thread),
                // The limit on threads may be reached.
                Err(_) => sync_all(files)?,
            }
        }
        let join = |thread: thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        threads.into_iter().try_for_each(join)
    })
}

/// Writes a file with this mode, replacing whatever has its name.
pub(crate) fn write_atomically(
    path: &Path,
    mode: u32,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<(), Error> {
    name(vec![Unnamed::write(path, mode, write)?])
}

/// Whether a name is that of an unfinished file.
pub(crate) fn is_unfinished(name: &str) -> bool {
    name.starts_with(PREFIX) && name.ends_with(SUFFIX)
}

/// Removes unfinished files of killed runs. The caller must hold the directory's lock.
pub(crate) fn remove_unfinished(directory: &Path) {
    // Leftovers are no reason to fail.
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if is_unfinished(&entry.file_name().to_string_lossy()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Creates a directory with this mode, whatever the umask is.
pub(crate) fn make_directory(path: &Path, mode: u32) -> Result<(), Error> {
    let made = DirBuilder::new().mode(mode).create(path);
    made.and_then(|()| set_mode(path, mode)).context("creating", path)
}

pub(crate) fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode))
}

/// Removes a tree if it exists. Of its files nothing but the number of links changes.
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

/// Lets an owner who is not root remove what is in a tree's directories.
fn open_directories(path: &Path) {
    let _ = set_mode(path, 0o700);
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            open_directories(&entry.path());
        }
    }
}
