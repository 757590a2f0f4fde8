//! How files get from the store into an engine's directory.

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

/// How many entries of the store are looked at for a file to try with.
const LOOKED_AT: usize = 10_000;

/// What the names of files begin with that a way is tried with; the process and a number follow.
const TRIAL: &str = ".nix-image-";

/// The store's directory and an engine's, opened so that files get from one to the other.
#[derive(Debug)]
pub struct Ways {
    way: Way,
    ends: Ends,
    target_path: PathBuf,
    passed_over: Vec<String>,
}

/// Where files come from and where they go.
#[derive(Debug)]
struct Ends {
    store: OwnedFd,
    target: OwnedFd,
}

impl Ways {
    /// Finds out which way works from one directory to the other, by trying with a file of the
    /// store: the one at the relative path `sample`, or the first that is found.
    pub fn find(
        store: &Path,
        target: &Path,
        import: Import,
        sample: Option<&Path>,
    ) -> Result<Self, WayError> {
        let ends = Ends { store: open(store)?, target: open(target)? };
        let in_target = |source: io::Error| WayError::Target { path: target.to_owned(), source };
        ends.remove_stale_trials();
        // Without this, a directory that cannot be written to would look like one without links.
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

    /// The store's directory. Links can only be made of what is opened below this descriptor.
    pub fn store(&self) -> BorrowedFd<'_> {
        self.ends.store.as_fd()
    }

    /// The engine's directory. Links can only be made in what is opened below this descriptor.
    pub fn target(&self) -> BorrowedFd<'_> {
        self.ends.target.as_fd()
    }

    /// The engine's directory, for messages.
    pub fn target_path(&self) -> &Path {
        &self.target_path
    }

    /// Why a better way was not taken, such as `no hard links: …`; `None` if the best one was, or
    /// the way was given.
    pub fn why_not_better(&self) -> Option<String> {
        (!self.passed_over.is_empty()).then(|| self.passed_over.join("; "))
    }
}

/// Tries ways out.
struct Finder {
    /// `None` if the store has no file that could be found.
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

    /// The ends between which the way works, `None` if it does between those that are given; or
    /// why it does not.
    fn find(&self, way: Way, ends: &Ends) -> Result<Option<Ends>, String> {
        if way == Way::Link && has_selinux() {
            return Err(
                "SELinux is enabled, and labels of the engine's files would be the store's".into(),
            );
        }
        if way == Way::Link && joins_links() {
            return Err(
                "overlayfs has `index=on`, so that files which the store has as one would change \
                 together in a container"
                    .into(),
            );
        }
        let Some(sample) = &self.sample else {
            return Err("the store has no file to try with".into());
        };
        match ends.try_way(way, sample) {
            Ok(()) => Ok(None),
            Err(Errno::XDEV) => self.find_on_one_mount(way, ends, sample).map(Some),
            Err(error) => Err(explain(way, error)),
        }
    }

    /// The same for ends on two mounts of one file system.
    fn find_on_one_mount(&self, way: Way, ends: &Ends, sample: &Path) -> Result<Ends, String> {
        let [store, target] =
            [&ends.store, &ends.target].map(|end| Located::find(end, &self.mounts));
        let (Some(store), Some(target)) = (store, target) else {
            return Err("they are on two mounts".into());
        };
        let mut why = "they are on two file systems".to_owned();
        for opened in mounts::open_on_one_mount(&self.mounts, &store, &target) {
            let tried = opened.map_err(|error| {
                format!("they are on two mounts, and no mount can be cloned: {error}")
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
    /// Makes a file of the target out of one of the store's, and takes it away again.
    fn try_way(&self, way: Way, sample: &Path) -> Result<(), Errno> {
        if way == Way::Link {
            let link = |name: &str| {
                let made = linkat(&self.store, sample, &self.target, name, AtFlags::empty());
                // All else was fine.
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

    /// Removes what trials of killed processes have left. A process that is not seen from here makes
    /// nothing of it if its trial goes.
    fn remove_stale_trials(&self) {
        for entry in Dir::read_from(&self.target).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if name.to_str().ok().and_then(process_of_trial).is_some_and(has_ended) {
                // It only takes up room.
                let _ = unlinkat(&self.target, name, AtFlags::empty());
            }
        }
    }

    fn create(&self, name: &str) -> Result<OwnedFd, Errno> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        openat(&self.target, name, flags, Mode::RUSR | Mode::WUSR)
    }

    /// Calls a function with a name that nothing in the target has, and removes what it made.
    fn with_temporary(&self, make: impl Fn(&str) -> Result<(), Errno>) -> Result<(), Errno> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("{TRIAL}{}-{number}", getpid().as_raw_nonzero());
        let remove = || unlinkat(&self.target, &name, AtFlags::empty());
        let mut made = make(&name);
        if made == Err(Errno::EXIST) {
            // A process of the same number was killed while it had it.
            remove()?;
            made = make(&name);
        }
        match remove() {
            Err(Errno::NOENT) => made,
            removed => made.and(removed),
        }
    }
}

/// The process that tries with a file of this name; `None` if it is another file.
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

/// The first file that is found in a directory or below.
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

/// Whether overlayfs keeps hard links of a lower layer together when one of them is changed.
fn joins_links() -> bool {
    let index = fs::read("/sys/module/overlay/parameters/index");
    index.is_ok_and(|index| index.starts_with(b"Y"))
}

/// Whether the kernel labels files: an engine's labels would change the store's.
fn has_selinux() -> bool {
    Path::new("/sys/fs/selinux/enforce").exists()
}

/// What an error of a trial means.
fn explain(way: Way, error: Errno) -> String {
    let protects = || {
        let setting = fs::read("/proc/sys/fs/protected_hardlinks");
        !geteuid().is_root() && setting.is_ok_and(|setting| setting.starts_with(b"1"))
    };
    match (way, error) {
        (Way::Link, Errno::PERM) if protects() => {
            "fs.protected_hardlinks allows them to the files' owner only".into()
        }
        (_, Errno::XDEV) => "they are on two file systems or subvolumes".into(),
        (Way::Reflink, Errno::OPNOTSUPP | Errno::NOTTY | Errno::INVAL) => {
            "the file system does not have them".into()
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
