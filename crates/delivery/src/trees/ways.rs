//! Finds the best way for files from the store into an engine's directory.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, ioctl_ficlone, linkat, openat, unlinkat};
use rustix::io::Errno;
use rustix::process::{Pid, geteuid, getpid, test_kill_process};

use super::error::{End, WayError};
use super::mounts::{self, Located, Mount};
use super::way::{Import, Way};

/// How many entries of the store are searched for a file to test with.
const LOOKED_AT: usize = 10_000;

/// The prefix of the names of test files; the process ID and a number follow.
const TRIAL: &str = ".nix-image-";

/// The store's directory and an engine's, opened so that files can get from one to the other.
#[derive(Debug)]
pub struct Ways {
    way: Way,
    ends: Ends,
    target_path: PathBuf,
    passed_over: Vec<String>,
}

/// The source and the destination of files.
#[derive(Debug)]
struct Ends {
    store: OwnedFd,
    target: OwnedFd,
}

impl Ways {
    /// Finds the way that works from one directory to the other, by testing with a file of the
    /// store: the one at the relative path `sample`, or the first one found.
    pub fn find(
        store: &Path,
        target: &Path,
        import: Import,
        sample: Option<&Path>,
    ) -> Result<Self, WayError> {
        let ends = Ends { store: open(store)?, target: open(target)? };
        let in_target = |source: io::Error| WayError::Target { path: target.to_owned(), source };
        ends.remove_stale_trials();
        // Without this, a read-only directory would look like one that does not support links.
        ends.try_to_write().map_err(in_target)?;
        let finder = Finder::new(store, sample);
        let mut passed_over = Vec::new();
        for way in [Way::Link, Way::Reflink] {
            let is_wanted = match import {
                Import::Auto => true,
                Import::Link => way == Way::Link,
                Import::Reflink => way == Way::Reflink,
                Import::Copy => false,
            };
            if !is_wanted {
                continue;
            }
            match finder.find(way, &ends) {
                Ok(found) => {
                    let ends = found.unwrap_or(ends);
                    return Ok(Self { way, ends, target_path: target.to_owned(), passed_over });
                }
                Err(why) if import == Import::Auto => passed_over.push(format!("no {way}: {why}")),
                Err(why) => return Err(finder.impossible(way, [store, target], &ends, why)),
            }
        }
        Ok(Self { way: Way::Copy, ends, target_path: target.to_owned(), passed_over })
    }

    /// The way that works.
    pub fn way(&self) -> Way {
        self.way
    }

    /// The store's directory. Only files opened below this descriptor can be linked.
    pub fn store(&self) -> BorrowedFd<'_> {
        self.ends.store.as_fd()
    }

    /// The engine's directory. Links can only be made below this descriptor.
    pub fn target(&self) -> BorrowedFd<'_> {
        self.ends.target.as_fd()
    }

    /// The engine's directory, for messages.
    pub fn target_path(&self) -> &Path {
        &self.target_path
    }

    /// Why no better way was chosen, such as `no hard links: …`; `None` if the best one was, or the
    /// user requested the way.
    pub fn why_not_better(&self) -> Option<String> {
        (!self.passed_over.is_empty()).then(|| self.passed_over.join("; "))
    }
}

/// Tests which ways work.
struct Finder {
    /// The file to test with; `None` if none was found in the store.
    sample: Option<PathBuf>,
    mounts: Vec<Mount>,
}

impl Finder {
    fn new(store: &Path, sample: Option<&Path>) -> Self {
        let sample = sample.map(Path::to_owned).or_else(|| {
            let found = find_file(store, &mut LOOKED_AT.clone())?;
            Some(found.strip_prefix(store).ok()?.to_owned())
        });
        Self { sample, mounts: mounts::list().unwrap_or_default() }
    }

    /// Returns the ends between which the way works, or `None` if it works between the given ones;
    /// fails with the reason why it does not work.
    fn find(&self, way: Way, ends: &Ends) -> Result<Option<Ends>, String> {
        if way == Way::Link && has_selinux() {
            return Err(
                "SELinux is enabled, and labelling the engine's files would label the store's"
                    .into(),
            );
        }
        if way == Way::Link && joins_links() {
            return Err(
                "overlayfs has `index=on`, so if a container changed one hard link to a file of \
                 the store, the others would change too"
                    .into(),
            );
        }
        let Some(sample) = &self.sample else {
            return Err("the store has no file to test with".into());
        };
        match ends.try_way(way, sample) {
            Ok(()) => Ok(None),
            Err(Errno::XDEV) => self.find_on_one_mount(way, ends, sample).map(Some),
            Err(error) => Err(explain(way, error)),
        }
    }

    /// The same for two mounts of one file system.
    fn find_on_one_mount(&self, way: Way, ends: &Ends, sample: &Path) -> Result<Ends, String> {
        let [store, target] =
            [&ends.store, &ends.target].map(|end| Located::find(end, &self.mounts));
        let (Some(store), Some(target)) = (store, target) else {
            return Err("they are on different mounts".into());
        };
        let mut why = "they are on different file systems".to_owned();
        for opened in mounts::open_on_one_mount(&self.mounts, &store, &target) {
            let tried = opened.map_err(|error| {
                format!("they are on different mounts, and no mount can be cloned: {error}")
            });
            let tried = tried.and_then(|(store, target)| {
                let ends = Ends { store, target };
                ends.try_way(way, sample).map_err(|error| explain(way, error))?;
                Ok(ends)
            });
            match tried {
                Ok(ends) => return Ok(ends),
                Err(error) => why = error,
            }
        }
        Err(why)
    }

    fn impossible(&self, way: Way, paths: [&Path; 2], ends: &Ends, why: String) -> WayError {
        let end = |path: &Path, end: &OwnedFd| {
            let located = Located::find(end, &self.mounts);
            let file_system = located
                .map_or_else(|| "unknown file system".into(), |located| located.mount.describe());
            Box::new(End { path: path.to_owned(), file_system })
        };
        let (store, target) = (end(paths[0], &ends.store), end(paths[1], &ends.target));
        WayError::Impossible { way, store, target, why }
    }
}

impl Ends {
    /// Makes a test file in the target from one in the store, and deletes it again.
    fn try_way(&self, way: Way, sample: &Path) -> Result<(), Errno> {
        if way == Way::Link {
            let link = |name: &str| {
                let made = linkat(&self.store, sample, &self.target, name, AtFlags::empty());
                // Everything else worked.
                if made == Err(Errno::MLINK) { Ok(()) } else { made }
            };
            return self.with_temporary(link);
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let from = openat(&self.store, sample, flags, Mode::empty())?;
        self.with_temporary(|name| ioctl_ficlone(self.create(name)?, &from))
    }

    fn try_to_write(&self) -> io::Result<()> {
        Ok(self.with_temporary(|name| self.create(name).map(drop))?)
    }

    /// Deletes test files of killed processes. If a process in another PID namespace loses its test
    /// file, that does no harm.
    fn remove_stale_trials(&self) {
        for entry in Dir::read_from(&self.target).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if name.to_str().ok().and_then(process_of_trial).is_some_and(has_ended) {
                // A leftover only takes up space.
                let _ = unlinkat(&self.target, name, AtFlags::empty());
            }
        }
    }

    fn create(&self, name: &str) -> Result<OwnedFd, Errno> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        openat(&self.target, name, flags, Mode::RUSR | Mode::WUSR)
    }

    /// Calls a function with a name that is unused in the target, and deletes what it made.
    fn with_temporary(&self, make: impl Fn(&str) -> Result<(), Errno>) -> Result<(), Errno> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("{TRIAL}{}-{number}", getpid().as_raw_nonzero());
        let remove = || unlinkat(&self.target, &name, AtFlags::empty());
        let mut made = make(&name);
        if made == Err(Errno::EXIST) {
            // Left by a killed process that had the same ID.
            remove()?;
            made = make(&name);
        }
        match remove() {
            Err(Errno::NOENT) => made,
            removed => made.and(removed),
        }
    }
}

/// The process that uses a test file of this name; `None` if it is another file.
fn process_of_trial(name: &str) -> Option<Pid> {
    let (process, number) = name.strip_prefix(TRIAL)?.split_once('-')?;
    number.parse::<u32>().ok()?;
    Pid::from_raw(process.parse().ok().filter(|&process| process > 0)?)
}

fn has_ended(process: Pid) -> bool {
    test_kill_process(process) == Err(Errno::SRCH)
}

fn open(path: &Path) -> Result<OwnedFd, WayError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = openat(CWD, path, flags, Mode::empty());
    opened.map_err(|error| WayError::Open { path: path.to_owned(), source: error.into() })
}

/// The first file found in a directory and those below.
fn find_file(directory: &Path, left: &mut usize) -> Option<PathBuf> {
    for entry in fs::read_dir(directory).ok()?.filter_map(Result::ok) {
        *left = left.checked_sub(1)?;
        let kind = entry.file_type().ok()?;
        if kind.is_file() {
            return Some(entry.path());
        }
        if let Some(found) = kind.is_dir().then(|| find_file(&entry.path(), left)).flatten() {
            return Some(found);
        }
    }
    None
}

/// Whether overlayfs keeps hard links in a lower layer together when one of them is changed.
fn joins_links() -> bool {
    let index = fs::read("/sys/module/overlay/parameters/index");
    index.is_ok_and(|index| index.starts_with(b"Y"))
}

/// Whether the kernel labels files: labels set by an engine would change the store's files.
fn has_selinux() -> bool {
    Path::new("/sys/fs/selinux/enforce").exists()
}

/// Explains the error of a test.
fn explain(way: Way, error: Errno) -> String {
    let protects = || {
        let setting = fs::read("/proc/sys/fs/protected_hardlinks");
        !geteuid().is_root() && setting.is_ok_and(|setting| setting.starts_with(b"1"))
    };
    match (way, error) {
        (Way::Link, Errno::PERM) if protects() => {
            "fs.protected_hardlinks only allows them for the owner of the files".into()
        }
        (_, Errno::XDEV) => "they are on different file systems or subvolumes".into(),
        (Way::Reflink, Errno::OPNOTSUPP | Errno::NOTTY | Errno::INVAL) => {
            "the file system does not support them".into()
        }
        _ => io::Error::from(error).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trials_of_processes_that_ended_are_removed() {
        let directory = tempfile::tempdir().unwrap();
        let mut ended = std::process::Command::new("true").spawn().unwrap();
        ended.wait().unwrap();
        let name = |process: u32, rest: &str| format!("{TRIAL}{process}-{rest}");
        let stale = name(ended.id(), "0");
        let kept = [
            name(std::process::id(), "7"),
            name(ended.id(), "x"),
            format!("{TRIAL}{}", ended.id()),
            format!("{TRIAL}0-0"),
            format!("{TRIAL}-1-0"),
            format!("{TRIAL}abc.tmp"),
            "l".to_owned(),
        ];
        for name in kept.iter().chain([&stale]) {
            fs::write(directory.path().join(name), "").unwrap();
        }
        Ways::find(directory.path(), directory.path(), Import::Auto, None).unwrap();
        assert!(!directory.path().join(stale).exists());
        for name in kept {
            assert!(directory.path().join(&name).exists(), "{name}");
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 7);
    }
}
