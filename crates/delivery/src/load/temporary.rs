//! Temporary directories with files that an engine reads during a load. They are deleted when the
//! load ends, even by a signal.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use parking_lot::Mutex;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;
use tempfile::TempDir;

/// The directories that exist.
static ALL: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// A directory that other users cannot enter.
#[derive(Debug)]
pub(super) struct Temporary(Option<TempDir>, PathBuf);

impl Temporary {
    /// A directory with one file, which may be in a subdirectory.
    pub(super) fn with_file(name: &str, text: &str) -> io::Result<Self> {
        watch()?;
        let mut all = ALL.lock();
        let owner_alone = Permissions::from_mode(0o700);
        let directory =
            tempfile::Builder::new().prefix("nix-image-").permissions(owner_alone).tempdir()?;
        let path = directory.path().to_owned();
        all.insert(path.clone());
        drop(all);
        let file = path.join(name);
        let temporary = Self(Some(directory), path);
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(file, text)?;
        Ok(temporary)
    }

    pub(super) fn path(&self) -> &Path {
        &self.1
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let mut all = ALL.lock();
        drop(self.0.take());
        all.remove(&self.1);
    }
}

/// Starts a thread that deletes the directories when a signal ends the program.
fn watch() -> io::Result<()> {
    static WATCHING: OnceLock<Result<(), io::ErrorKind>> = OnceLock::new();
    let start = || {
        // Signals that were ignored from the start, as with nohup, stay ignored.
        let ignored = ignored_signals();
        let is_ours = |signal: &i32| ignored >> (signal - 1) & 1 == 0;
        let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM].into_iter().filter(is_ours))?;
        let wait = move || {
            for signal in signals.forever() {
                let all = ALL.lock();
                for directory in &*all {
                    let _ = fs::remove_dir_all(directory);
                }
                let _ = emulate_default_handler(signal);
            }
        };
        std::thread::Builder::new().spawn(wait).map(drop)
    };
    WATCHING
        .get_or_init(|| start().map_err(|error: io::Error| error.kind()))
        .map_err(io::Error::from)
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
    fn a_directory_goes_with_its_owner() {
        let temporary = Temporary::with_file("a/b.conf", "text").unwrap();
        let path = temporary.path().to_owned();
        assert_eq!(fs::read_to_string(path.join("a/b.conf")).unwrap(), "text");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        assert!(ALL.lock().contains(&path));
        drop(temporary);
        assert!(!path.exists() && !ALL.lock().contains(&path));
    }
}
