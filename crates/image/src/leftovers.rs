//! Removes temporary files and directories when a signal ends the program.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

/// The temporary files and directories that exist.
static ALL: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
/// How often to try to remove a directory in which an engine still creates files, and how long to
/// wait in between.
const TRIES: usize = 20;
const PAUSE: Duration = Duration::from_millis(50);

/// A temporary file or directory that is removed if a signal ends the program, until this is
/// dropped.
#[derive(Debug)]
pub struct Leftover(PathBuf);

impl Leftover {
    /// Creates the file or directory, which `make` returns with its path.
    pub fn of<T, E>(make: impl FnOnce() -> Result<(T, PathBuf), E>) -> Result<(T, Self), E> {
        // Locked, so that no signal comes in between.
        let mut all = ALL.lock();
        let (made, path) = make()?;
        all.insert(path.clone());
        Ok((made, Self(path)))
    }
}

impl Drop for Leftover {
    fn drop(&mut self) {
        ALL.lock().remove(&self.0);
    }
}

/// Starts a thread that removes everything temporary when a signal ends the program.
pub fn remove_on_signals() -> io::Result<()> {
    static WATCHING: OnceLock<Result<(), io::ErrorKind>> = OnceLock::new();
    let start = || {
        // Signals that were ignored from the start, as with nohup, stay ignored.
        let ignored = ignored_signals();
        let is_ours = |signal: &i32| ignored >> (signal - 1) & 1 == 0;
        let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM].into_iter().filter(is_ours))?;
        let wait = move || {
            for signal in signals.forever() {
                // Never unlocked, so nothing new is created.
                let all = ALL.lock();
                all.iter().for_each(remove);
                let _ = emulate_default_handler(signal);
            }
        };
        thread::Builder::new().spawn(wait).map(drop)
    };
    WATCHING
        .get_or_init(|| start().map_err(|error: io::Error| error.kind()))
        .map_err(io::Error::from)
}

fn remove(path: &PathBuf) {
    if fs::remove_file(path).is_ok() {
        return;
    }
    for _ in 0..TRIES {
        match fs::remove_dir_all(path) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => thread::sleep(PAUSE),
            _ => return,
        }
    }
}

/// The signals that this process ignores, one bit for each, starting with the lowest. None if the
/// system does not report them.
fn ignored_signals() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_exists_is_known_until_it_is_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let make = || fs::write(&path, "text").map(|()| ((), path.clone()));
        let ((), leftover) = Leftover::of(make).unwrap();
        assert!(ALL.lock().contains(&path));
        drop(leftover);
        assert!(!ALL.lock().contains(&path));
        remove(&path);
        assert!(!path.exists());
        remove(&directory.path().to_owned());
        assert!(!directory.path().exists());
    }
}
