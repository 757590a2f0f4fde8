//! Files that appear under their final name only once they are complete.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{FlockOperation, flock, fsync};
use rustix::io::Errno;
use thiserror::Error;

use crate::leftovers::Leftover;

/// Prefix of the names of unfinished files.
const PREFIX: &str = ".nix-image-";
/// And their suffix.
const SUFFIX: &str = ".tmp";

/// A file written under a temporary name. It is deleted on drop unless it was finished.
#[derive(Debug)]
pub struct AtomicFile {
    temporary: PathBuf,
    finished: bool,
    /// Locked while the file is being written; see [`Self::remove_abandoned`].
    file: File,
    _leftover: Leftover,
}

/// A file or directory operation that failed.
#[derive(Debug, Error)]
#[error("{doing} `{}`{after}", path.display())]
pub struct FileError {
    doing: &'static str,
    path: PathBuf,
    after: &'static str,
    source: io::Error,
}

impl FileError {
    /// An error while `doing` something, such as "reading", to the file at `path`.
    pub fn new(doing: &'static str, path: &Path, source: impl Into<io::Error>) -> Self {
        Self { doing, path: path.to_owned(), after: "", source: source.into() }
    }

    /// The same, with text that follows the path in the message.
    #[must_use]
    pub fn and(self, after: &'static str) -> Self {
        Self { after, ..self }
    }
}

impl AtomicFile {
    /// Creates a file in `directory`, which must be on the file system of its final name.
    pub fn create_in(directory: &Path) -> Result<Self, FileError> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let error = |error| FileError::new("creating a file in", directory, error);
        loop {
            let count = COUNTER.fetch_add(1, Ordering::Relaxed);
            let name = format!("{PREFIX}{}-{count}{SUFFIX}", std::process::id());
            let temporary = directory.join(name);
            let create = || Ok::<_, io::Error>((File::create_new(&temporary)?, temporary.clone()));
            let (file, leftover) = match Leftover::of(create) {
                // Left by a killed process with the same PID, or in use by one in a container.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                created => created.map_err(error)?,
            };
            // Without locks, abandoned files are not removed either.
            let _ = flock(&file, FlockOperation::LockExclusive);
            // Before it was locked, another process may have taken it for abandoned.
            if file.metadata().map_err(error)?.nlink() > 0 {
                return Ok(Self { temporary, finished: false, file, _leftover: leftover });
            }
        }
    }

    /// The file to write to.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Renames the file to `path`, replacing any existing file. Its content may be lost in a power
    /// failure.
    pub fn persist(mut self, path: &Path) -> Result<(), FileError> {
        fs::rename(&self.temporary, path)
            .map_err(|error| FileError::new("giving", path, error).and(" its name"))?;
        self.finished = true;
        Ok(())
    }

    /// Writes the content to the disk, then renames the file to `path`: after a power failure the
    /// path holds either the previous file or all of this one. [`sync_directory`] does the same for
    /// the name.
    pub fn persist_durably(self, path: &Path) -> Result<(), FileError> {
        self.file
            .sync_all()
            .map_err(|error| FileError::new("writing", path, error).and(" to the disk"))?;
        self.persist(path)
    }

    /// Whether the name is that of an unfinished file.
    pub fn is_temporary(name: &str) -> bool {
        name.starts_with(PREFIX) && name.ends_with(SUFFIX)
    }

    /// Removes files that killed runs left in a directory.
    pub fn remove_abandoned(directory: &Path) {
        // Leftover files are no reason to fail.
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            if Self::is_temporary(&entry.file_name().to_string_lossy())
                && let Ok(file) = File::open(entry.path())
                && flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()
            {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// Syncs a directory's entries to the disk, where the file system supports it.
pub fn sync_directory(directory: &Path) -> Result<(), FileError> {
    // The parent of a plain name is the working directory.
    let location = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    // A directory that is writable but not readable cannot be opened.
    let Ok(opened) = File::open(location) else { return Ok(()) };
    match fsync(&opened) {
        Ok(()) | Err(Errno::INVAL | Errno::NOTSUP | Errno::NOSYS | Errno::BADF) => Ok(()),
        Err(error) => {
            let doing = "writing the directory";
            Err(FileError::new(doing, directory, error).and(" to the disk"))
        }
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if !self.finished {
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn files_appear_complete_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        for text in ["first", "second"] {
            let new = AtomicFile::create_in(directory.path()).unwrap();
            new.file().write_all(text.as_bytes()).unwrap();
            AtomicFile::remove_abandoned(directory.path());
            new.persist_durably(&path).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        drop(AtomicFile::create_in(directory.path()).unwrap());
        assert_eq!(names(directory.path()), ["file"]);
        fs::write(directory.path().join(".nix-image-1-0.tmp"), "killed").unwrap();
        AtomicFile::remove_abandoned(directory.path());
        assert_eq!(names(directory.path()), ["file"]);
    }

    /// Processes in different containers can have the same PID and share a directory.
    #[test]
    fn files_of_others_are_not_touched() {
        let directory = tempfile::tempdir().unwrap();
        let others: Vec<_> = (0..1000)
            .map(|count| format!("{PREFIX}{}-{count}{SUFFIX}", std::process::id()))
            .map(|name| directory.path().join(name))
            .collect();
        for other in &others {
            fs::write(other, "theirs").unwrap();
        }
        let ours = AtomicFile::create_in(directory.path()).unwrap();
        assert!(others.iter().all(|other| fs::read_to_string(other).unwrap() == "theirs"));
        ours.persist_durably(&directory.path().join("file")).unwrap();
        assert_eq!(names(directory.path()).len(), others.len() + 1);
    }
}
