//! What podman said of its storage the last time: `podman info` looks at so much that it can take
//! longer than the load.
//!
//! What is remembered holds as long as podman, its configuration and its environment are the same.
//! Whether podman sees the image is asked after each load, so what holds no longer shows.

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

/// The directory in the cache. What is remembered in another form is not seen.
const DIRECTORY: &str = "podman-1";
/// What the names of variables that podman minds begin with.
const VARIABLES: [&str; 4] = ["CONTAINER", "STORAGE_", "XDG_", "HOME"];
/// Where the configuration of a machine is, beside that of a user.
const MACHINE: [&str; 2] = ["/etc/containers", "/usr/share/containers"];
const FILES: [&str; 4] =
    ["storage.conf", "containers.conf", "containers.conf.d", "podman-connections.json"];
/// More bytes than there are in what is remembered.
const MAX_BYTES: u64 = 64 << 10;

/// podman's storage, or why layers cannot be put into it.
pub(in crate::load) type Answer = Result<Result<Info, String>, LoadError>;

/// What is asked for podman's storage.
#[derive(Debug)]
pub(in crate::load) enum Question {
    /// It is answered.
    Answered(Info),
    /// podman is being asked; where its answer is to be remembered.
    Asked(JoinHandle<Answer>, Option<PathBuf>),
}

/// Remembers podman's storage, or asks podman for it and does not wait.
pub(in crate::load) fn ask(cache: &Cache, limit: Duration) -> Result<Question, LoadError> {
    let file = file(cache);
    if let Some(info) = file.as_deref().and_then(read) {
        return Ok(Question::Answered(info));
    }
    let asking = thread::Builder::new().spawn(move || info::ask(&Patience::of(limit)));
    Ok(Question::Asked(asking.map_err(ThreadError::from)?, file))
}

impl Question {
    /// Waits for the answer, and remembers it.
    pub(in crate::load) fn answer(self) -> Answer {
        let (asking, file) = match self {
            Self::Answered(info) => return Ok(Ok(info)),
            Self::Asked(asking, file) => (asking, file),
        };
        let answer = asking.join().unwrap_or_else(|panic| resume_unwind(panic));
        if let (Some(file), Ok(Ok(info))) = (&file, &answer) {
            // Only time is lost if it cannot be remembered.
            let _ = write(file, info);
        }
        answer
    }
}

/// Forgets what podman said, as it is not so any more.
pub(super) fn forget(cache: &Cache) {
    if let Some(file) = file(cache) {
        let _ = fs::remove_file(file);
    }
}

/// Where it is remembered: a name that depends on all that podman's answer does.
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

/// Adds which file there is at a path, and when it was changed.
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
