//! Files that are there as a whole or not at all, directories of a certain mode, and trees that
//! have to go.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;

use tempfile::NamedTempFile;

use crate::error::{Context as _, Error};

/// What the names of unfinished files start with.
pub(crate) const PREFIX: &str = ".nix-image-";
/// And end with.
const SUFFIX: &str = ".tmp";
/// How many threads wait for the disk at a time.
const SYNCING: usize = 16;

/// A file that has its content and not yet its name.
#[derive(Debug)]
pub(crate) struct Unnamed {
    temporary: NamedTempFile,
    path: PathBuf,
}

impl Unnamed {
    /// Writes what is to be a file of this name and mode.
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

/// Gives files their names, in place of whatever has them, when the content of all is on the disk.
pub(crate) fn name(files: Vec<Unnamed>) -> Result<(), Error> {
    sync(&files)?;
    for Unnamed { temporary, path } in files {
        temporary.persist(&path).map_err(|error| error.error).context("writing", &path)?;
    }
    Ok(())
}

/// Waits until the content of files is on the disk. Those that wait for it at the same time wait
/// about once.
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
                // There may be no more of them.
                Err(_) => sync_all(files)?,
            }
        }
        let join = |thread: thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        threads.into_iter().try_for_each(join)
    })
}

/// Writes a file of this mode in place of whatever has its name.
pub(crate) fn write_atomically(
    path: &Path,
    mode: u32,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<(), Error> {
    name(vec![Unnamed::write(path, mode, write)?])
}

/// Whether a file's name is one of an unfinished file.
pub(crate) fn is_unfinished(name: &str) -> bool {
    name.starts_with(PREFIX) && name.ends_with(SUFFIX)
}

/// Removes temporary files of killed runs. The caller must hold the directory's lock.
pub(crate) fn remove_unfinished(directory: &Path) {
    // Litter is no reason to fail.
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if is_unfinished(&entry.file_name().to_string_lossy()) {
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
