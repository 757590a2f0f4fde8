//! Files that appear under their names when they are complete.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;
use rustix::fs::{FlockOperation, flock, fsync};
use rustix::io::Errno;

/// What the names of unfinished files start with.
const PREFIX: &str = ".nix-image-";
/// And end with.
const SUFFIX: &str = ".tmp";

/// A file that is being written under a temporary name, and goes unless it is finished.
#[derive(Debug)]
pub struct NewFile {
    temporary: PathBuf,
    finished: bool,
    /// Locked as long as the file is being written; see [`Self::remove_abandoned`].
    file: File,
}

impl NewFile {
    /// A new file in a directory, the one of its later name or on the same file system.
    pub fn create_in(directory: &Path) -> anyhow::Result<Self> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let creating = || format!("creating a file in `{}`", directory.display());
        loop {
            let count = COUNTER.fetch_add(1, Ordering::Relaxed);
            let name = format!("{PREFIX}{}-{count}{SUFFIX}", std::process::id());
            let temporary = directory.join(name);
            let file = match File::create_new(&temporary) {
                // A process of the same number was killed there, or is at work in a container.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                created => created.with_context(creating)?,
            };
            // Where there are no locks, nobody removes what is abandoned either.
            let _ = flock(&file, FlockOperation::LockExclusive);
            // Until it was locked it looked abandoned.
            if file.metadata().with_context(creating)?.nlink() > 0 {
                return Ok(Self { temporary, finished: false, file });
            }
        }
    }

    /// Another handle of the file, to write it.
    pub fn handle(&self) -> anyhow::Result<OwnedFd> {
        let handle = self.file.try_clone().with_context(|| self.doing("opening"))?;
        Ok(handle.into())
    }

    /// Gives the file its name, in place of whatever has it, once its content is on the disk: after
    /// a loss of power there is what was there before, or this file whole. That the name itself
    /// is on the disk takes [`sync_directory`].
    pub fn finish(mut self, path: &Path) -> anyhow::Result<()> {
        self.file
            .sync_all()
            .with_context(|| format!("writing `{}` to the disk", path.display()))?;
        fs::rename(&self.temporary, path)
            .with_context(|| format!("giving `{}` its name", path.display()))?;
        self.finished = true;
        Ok(())
    }

    /// Removes what killed runs have left in a directory.
    pub fn remove_abandoned(directory: &Path) {
        // Litter is no reason to fail.
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(PREFIX)
                && name.ends_with(SUFFIX)
                && let Ok(file) = File::open(entry.path())
                && flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()
            {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    fn doing(&self, what: &str) -> String {
        format!("{what} `{}`", self.temporary.display())
    }
}

/// Waits until the names in a directory are on the disk, where the file system can tell.
pub fn sync_directory(directory: &Path) -> anyhow::Result<()> {
    // The parent of a plain name is the working directory.
    let place = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    // One that may be written to but not listed cannot be opened.
    let Ok(opened) = File::open(place) else { return Ok(()) };
    match fsync(&opened) {
        Ok(()) | Err(Errno::INVAL | Errno::NOTSUP | Errno::NOSYS | Errno::BADF) => Ok(()),
        failed => failed.with_context(|| {
            format!("writing the directory `{}` to the disk", directory.display())
        }),
    }
}

impl Drop for NewFile {
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
            let new = NewFile::create_in(directory.path()).unwrap();
            File::from(new.handle().unwrap()).write_all(text.as_bytes()).unwrap();
            NewFile::remove_abandoned(directory.path());
            new.finish(&path).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        drop(NewFile::create_in(directory.path()).unwrap());
        assert_eq!(names(directory.path()), ["file"]);
        fs::write(directory.path().join(".nix-image-1-0.tmp"), "killed").unwrap();
        NewFile::remove_abandoned(directory.path());
        assert_eq!(names(directory.path()), ["file"]);
    }

    /// Processes in containers have the same numbers, and may share a directory.
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
        let ours = NewFile::create_in(directory.path()).unwrap();
        assert!(others.iter().all(|other| fs::read_to_string(other).unwrap() == "theirs"));
        ours.finish(&directory.path().join("file")).unwrap();
        assert_eq!(names(directory.path()).len(), others.len() + 1);
    }
}
