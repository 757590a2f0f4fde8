//! Locks between processes, as containers/storage takes them: `fcntl` record locks on whole files.
//! A lock file also holds 64 bytes that change with every write.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::io::Errno;
use rustix::process::{Flock, FlockType, fcntl_getlk};

use crate::error::{Context as _, Error, Holder};

/// The size of the last writer's mark (`lastWriterIDSize`).
const LAST_WRITER: usize = 64;
/// The longest pause between two attempts. Locks are mostly held for milliseconds.
const MAX_PAUSE: Duration = Duration::from_millis(20);

/// Device and inode of the files that this process has locked. A record lock belongs to a process:
/// it does not exclude other threads, and closing any descriptor of the file releases it.
static LOCKED: LazyLock<Mutex<HashSet<(u64, u64)>>> = LazyLock::new(Mutex::default);

/// What a lock is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

/// A lock that this process holds.
#[derive(Debug)]
pub(crate) struct Lock {
    path: PathBuf,
    identity: (u64, u64),
    /// `None` once it is closed.
    file: Option<File>,
}

impl Lock {
    /// Takes the lock at a path. To write, the file is created with this mode if it does not exist.
    pub(crate) fn take(
        path: &Path,
        access: Access,
        mode: u32,
        patience: Duration,
    ) -> Result<Self, Error> {
        let start = Instant::now();
        let mut pause = Duration::from_millis(1);
        loop {
            let holder = match Self::attempt(path, access, mode)? {
                Ok(lock) => return Ok(lock),
                Err(holder) => holder,
            };
            let waited = start.elapsed();
            let Some(left) = patience.checked_sub(waited).filter(|left| !left.is_zero()) else {
                return Err(Error::Busy { lock: path.to_owned(), holder, waited });
            };
            thread::sleep(pause.min(left));
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }

    /// Takes the lock if it is free; otherwise returns who holds it.
    fn attempt(path: &Path, access: Access, mode: u32) -> Result<Result<Self, Holder>, Error> {
        // Held so that no other thread opens or closes the same file meanwhile.
        let mut locked = LOCKED.lock();
        let metadata = match fs::metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound && access == Access::Write => {
                create(path, mode)?;
                fs::metadata(path)
            }
            found => found,
        };
        let metadata = metadata.context("reading", path)?;
        let identity = (metadata.dev(), metadata.ino());
        if locked.contains(&identity) {
            return Ok(Err(Holder::Ourselves));
        }
        let file = OpenOptions::new().read(true).write(access == Access::Write).open(path);
        let file = file.context("opening", path)?;
        let (operation, kind) = match access {
            Access::Read => (FlockOperation::NonBlockingLockShared, FlockType::ReadLock),
            Access::Write => (FlockOperation::NonBlockingLockExclusive, FlockType::WriteLock),
        };
        match fcntl_lock(&file, operation) {
            Ok(()) => {
                locked.insert(identity);
                Ok(Ok(Self { path: path.to_owned(), identity, file: Some(file) }))
            }
            Err(Errno::AGAIN | Errno::ACCESS) => Ok(Err(holder(&file, kind))),
            Err(error) => Err(error).context("locking", path),
        }
    }

    /// Tells processes that have read what the lock protects to read it again. Call this before
    /// writing, as the library does: if the process is killed in between, that costs the others
    /// only one more read.
    pub(crate) fn touch(&self) -> Result<(), Error> {
        let file = self.file.as_ref();
        let written = file.map_or(Ok(()), |file| file.write_all_at(&last_writer(), 0));
        written.context("writing", &self.path)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let mut locked = LOCKED.lock();
        self.file = None;
        locked.remove(&self.identity);
    }
}

fn create(path: &Path, mode: u32) -> Result<(), Error> {
    match OpenOptions::new().write(true).create_new(true).mode(mode).open(path) {
        // Another process was faster.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        created => {
            let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
            created.and_then(|file| file.set_permissions(permissions)).context("creating", path)
        }
    }
}

/// Who holds a lock that cannot be taken.
fn holder(file: &File, kind: FlockType) -> Holder {
    let Ok(Some(Flock { pid: Some(pid), .. })) = fcntl_getlk(file, &Flock::from(kind)) else {
        return Holder::Unknown;
    };
    let pid = pid.as_raw_nonzero().get();
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok();
    Holder::Process(pid, name.map(|name| name.trim_end().to_owned()))
}

/// Bytes that are unique to this write: time, counter, process ID and random bytes, in the
/// library's layout.
fn last_writer() -> [u8; LAST_WRITER] {
    static COUNTER: AtomicU64 = AtomicU64::new(1);
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut bytes = [0; LAST_WRITER];
    bytes[..8].copy_from_slice(&(since_epoch.as_nanos() as u64).to_le_bytes());
    bytes[8..16].copy_from_slice(&COUNTER.fetch_add(1, Ordering::Relaxed).to_le_bytes());
    bytes[16..20].copy_from_slice(&std::process::id().to_le_bytes());
    // Without random bytes, time and process still tell writers apart.
    let _ = getrandom::fill(&mut bytes[20..]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_keeps_other_threads_out_and_a_write_shows() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("layers.lock");
        let take = |access| Lock::take(&path, access, 0o644, Duration::from_millis(30));
        // A reader does not create the lock file.
        assert!(matches!(take(Access::Read), Err(Error::Io { .. })));
        let lock = take(Access::Write).unwrap();
        let error = take(Access::Read).unwrap_err();
        assert!(matches!(error, Error::Busy { holder: Holder::Ourselves, .. }), "{error}");
        let contents = [(), ()].map(|()| {
            lock.touch().unwrap();
            fs::read(&path).unwrap()
        });
        assert_eq!(contents[0].len(), 64);
        assert_ne!(contents[0], contents[1]);
        drop(lock);
        take(Access::Read).unwrap();
        take(Access::Write).unwrap();
    }
}
