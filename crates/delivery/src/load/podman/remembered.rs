//! Caches what podman reports about its storage, as `podman info` can take longer than the load
//! itself.
//!
//! The answer is valid as long as podman, its configuration and its environment are the same. After
//! each load podman is asked whether it sees the image, so an outdated answer is noticed.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::{Value, json};

use super::super::LoadError;
use super::super::command::{self, Patience};
use super::PODMAN;
use super::info::{self, Info};
use image::AtomicFile;
use image::cache::{Cache, KeyBuilder};
use image::threads::ThreadError;

/// The directory in the cache. It changes with the format, so that other formats are ignored.
const DIRECTORY: &str = "podman-1";
/// The prefixes of the environment variables that podman depends on.
const VARIABLES: [&str; 4] = ["CONTAINER", "STORAGE_", "XDG_", "HOME"];
/// The machine's configuration directories, in addition to the user's.
const MACHINE: [&str; 2] = ["/etc/containers", "/usr/share/containers"];
const FILES: [&str; 4] =
    ["storage.conf", "containers.conf", "containers.conf.d", "podman-connections.json"];
/// The maximum size of a cached answer, which is never reached.
const MAX_BYTES: u64 = 64 << 10;

/// podman's storage, or why layers cannot be placed in it.
pub(in crate::load) type Answer = Result<Result<Info, String>, LoadError>;

/// A question for podman's storage.
#[derive(Debug)]
pub(in crate::load) enum Question {
    /// The answer was cached.
    Answered(Info),
    /// podman is being asked; the path is where to cache its answer.
    Asked(JoinHandle<Answer>, Option<PathBuf>),
}

/// Looks up podman's storage in the cache, or asks podman without waiting for the answer.
pub(in crate::load) fn ask(cache: &Cache, limit: Duration) -> Result<Question, LoadError> {
    let file = file(cache);
    if let Some(info) = file.as_deref().and_then(read) {
        return Ok(Question::Answered(info));
    }
    let asking = thread::Builder::new().spawn(move || info::ask(&Patience::of(limit)));
    Ok(Question::Asked(asking.map_err(ThreadError::from)?, file))
}

impl Question {
    /// Waits for the answer and caches it.
    pub(in crate::load) fn answer(self) -> Answer {
        let (asking, file) = match self {
            Self::Answered(info) => return Ok(Ok(info)),
            Self::Asked(asking, file) => (asking, file),
        };
        let answer = asking.join().unwrap_or_else(|panic| resume_unwind(panic));
        if let (Some(file), Ok(Ok(info))) = (&file, &answer) {
            // If it cannot be cached, that only costs time.
            let _ = write(file, info);
        }
        answer
    }
}

/// Removes podman's answer from the cache, as it may be outdated.
pub(super) fn forget(cache: &Cache) {
    if let Some(file) = file(cache) {
        let _ = fs::remove_file(file);
    }
}

/// The path of the cached answer: its name depends on everything that podman's answer depends on.
fn file(cache: &Cache) -> Option<PathBuf> {
    let directory = cache.directory()?.join(DIRECTORY);
    let mut key = KeyBuilder::new("podman info");
    add_file(&mut key, &command::find(PODMAN)?);
    key.add(&rustix::process::geteuid().as_raw().to_le_bytes());
    let mut variables: Vec<_> = env::vars_os()
        .filter(|(name, _)| VARIABLES.iter().any(|start| begins_with(name, start)))
        .collect();
    variables.sort();
    let mut files = Vec::new();
    for (name, value) in &variables {
        key.add(name.as_bytes());
        key.add(value.as_bytes());
        if begins_with(name, "CONTAINERS_") {
            files.push(PathBuf::from(value));
        }
    }
    let home = env::var_os("HOME").map(|home| Path::new(&home).join(".config/containers"));
    let user = env::var_os("XDG_CONFIG_HOME").map(|home| Path::new(&home).join("containers"));
    let directories = MACHINE.map(PathBuf::from).into_iter().chain(home).chain(user);
    files.extend(directories.flat_map(|directory| FILES.map(|file| directory.join(file))));
    for file in &files {
        add_file(&mut key, file);
    }
    Some(directory.join(key.finish().to_string()))
}

fn begins_with(name: &OsStr, start: &str) -> bool {
    name.as_bytes().starts_with(start.as_bytes())
}

/// Adds the identity of the file at a path, and when it was changed.
fn add_file(key: &mut KeyBuilder, path: &Path) {
    key.add(path.as_os_str().as_bytes());
    let Ok(metadata) = fs::metadata(path) else { return key.add(b"absent") };
    for number in [metadata.dev(), metadata.ino(), metadata.size()] {
        key.add(&number.to_le_bytes());
    }
    for number in [metadata.mtime(), metadata.mtime_nsec(), metadata.ctime()] {
        key.add(&number.to_le_bytes());
    }
}

fn read(file: &Path) -> Option<Info> {
    let metadata = fs::metadata(file).ok()?;
    let bytes =
        (metadata.is_file() && metadata.len() <= MAX_BYTES).then(|| fs::read(file).ok())??;
    let value: Value = serde_json::from_slice(&bytes).ok()?;
    let graph_root = PathBuf::from(value["graph_root"].as_str()?);
    Some(Info { graph_root, is_rootless: value["rootless"].as_bool()? })
        .filter(|info| info.graph_root.is_absolute())
}

fn write(file: &Path, info: &Info) -> Option<()> {
    let directory = file.parent()?;
    fs::create_dir_all(directory).ok()?;
    let graph_root = info.graph_root.to_str()?;
    let value = json!({ "graph_root": graph_root, "rootless": info.is_rootless });
    let new = AtomicFile::create_in(directory).ok()?;
    new.file().write_all(value.to_string().as_bytes()).ok()?;
    new.persist(file).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_remembered_and_damaged_ones_are_not() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("deep/answer");
        assert!(read(&file).is_none());
        let graph_root = PathBuf::from("/var/lib/containers/storage");
        write(&file, &Info { graph_root: graph_root.clone(), is_rootless: true }).unwrap();
        let found = read(&file).unwrap();
        assert_eq!((found.graph_root, found.is_rootless), (graph_root, true));
        for bad in ["", "{}", "[", r#"{"graph_root":"storage","rootless":false}"#] {
            fs::write(&file, bad).unwrap();
            assert!(read(&file).is_none(), "{bad}");
        }
    }
}
