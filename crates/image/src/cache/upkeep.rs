//! Measures the cache and makes it smaller.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{Cache, TEMPORARY};

/// What the cache holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Entries.
    pub entries: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// The last use of the least recently used entry, to a day.
    pub oldest: Option<SystemTime>,
}

/// What to keep in the cache.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// The maximum time since an entry's last use.
    pub max_age: Option<Duration>,
    /// The maximum size in bytes; the least recently used entries are removed first.
    pub max_bytes: Option<u64>,
}

/// What was removed from the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Entries.
    pub entries: u64,
    /// Bytes in them.
    pub bytes: u64,
}

/// Half-written files that are older than this were left by a killed run.
const ABANDONED: Duration = Duration::from_secs(60 * 60);

/// Prefixes, before a version, of the names of the cache's directories: those of this crate and of
/// `load`.
const KINDS: [&str; 3] = ["layers-", "tar-splits-", "podman-"];
/// Levels of directories between such a directory and an entry.
const DEPTH: usize = 1;

struct Entry {
    path: PathBuf,
    bytes: u64,
    used: SystemTime,
}

impl Cache {
    /// Counts the entries.
    #[doc(hidden)]
    pub fn usage(&self) -> io::Result<Usage> {
        let entries = self.entries()?;
        Ok(Usage {
            entries: entries.len() as u64,
            bytes: entries.iter().map(|entry| entry.bytes).sum(),
            oldest: entries.iter().map(|entry| entry.used).min(),
        })
    }

    /// Removes entries until the rest is within the limits, as well as entries of older versions
    /// and leftovers of killed runs. Other runs may use the cache meanwhile.
    #[doc(hidden)]
    pub fn collect(&self, limits: Limits) -> io::Result<Removed> {
        let mut entries = self.entries()?;
        entries.sort_by_key(|entry| entry.used);
        let now = SystemTime::now();
        let mut bytes: u64 = entries.iter().map(|entry| entry.bytes).sum();
        let mut removed = Removed::default();
        for entry in entries {
            let age = now.duration_since(entry.used).unwrap_or_default();
            let temporary = is_temporary(&entry.path);
            let too_old = limits.max_age.is_some_and(|max| age > max);
            let too_many = limits.max_bytes.is_some_and(|max| bytes > max);
            if (temporary && age > ABANDONED) || (!temporary && (too_old || too_many)) {
                remove(&entry.path)?;
                bytes -= entry.bytes;
                removed.entries += 1;
                removed.bytes += entry.bytes;
            }
        }
        Ok(removed)
    }

    /// Removes all entries of all versions, except for what another run is writing. Only files in
    /// the cache's own directories are removed: links are not followed.
    #[doc(hidden)]
    pub fn clear(&self) -> io::Result<Removed> {
        let mut removed = Removed::default();
        let Some(directory) = &self.directory else { return Ok(removed) };
        let now = SystemTime::now();
        for own in list(directory)?.iter().filter(|path| is_own(path)) {
            for path in files_below(own, DEPTH)? {
                let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
                let age = now.duration_since(metadata.modified()?).unwrap_or_default();
                if is_temporary(&path) && age <= ABANDONED {
                    continue;
                }
                remove(&path)?;
                removed.entries += 1;
                removed.bytes += metadata.len();
            }
        }
        Ok(removed)
    }

    fn entries(&self) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for directory in self.entries_directories() {
            for path in shards(&directory)? {
                // It may have been removed by another run.
                let Ok(metadata) = fs::metadata(&path) else { continue };
                entries.push(Entry { path, bytes: metadata.len(), used: metadata.modified()? });
            }
        }
        Ok(entries)
    }
}

/// The files in the subdirectories of a directory.
fn shards(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let files = list(directory)?.into_iter().map(|shard| list(&shard));
    Ok(files.collect::<io::Result<Vec<_>>>()?.concat())
}

/// Whether a path is one of the cache's own directories.
fn is_own(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let version = KINDS.iter().find_map(|kind| name.strip_prefix(kind));
    version.is_some_and(|version| version.parse::<u32>().is_ok()) && is_directory(path)
}

/// Whether it is a directory, not a link to one.
fn is_directory(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
}

/// The files in a directory and its subdirectories, down to a depth.
fn files_below(directory: &Path, depth: usize) -> io::Result<Vec<PathBuf>> {
    let (directories, mut files): (Vec<_>, Vec<_>) =
        list(directory)?.into_iter().partition(|path| is_directory(path));
    for directory in directories.iter().filter(|_| depth > 0) {
        files.extend(files_below(directory, depth - 1)?);
    }
    Ok(files)
}

fn is_temporary(path: &Path) -> bool {
    path.to_str().is_some_and(|path| path.ends_with(TEMPORARY))
}

fn list(directory: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(directory) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;
    use crate::cache::KeyBuilder;
    use formats::digest::{BlobId, Digest};

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    /// A cache with entries that were last used 0, 1, ... days ago.
    fn cache(directory: &Path, entries: u32) -> (Cache, u64) {
        let cache = Cache::at(directory);
        for age in 0..entries {
            let key = KeyBuilder::new(&age.to_string()).finish();
            cache.put(&key, &BlobId { digest: Digest::of(b""), size: 0 });
            let file = File::options().append(true).open(cache.path(&key).unwrap()).unwrap();
            file.set_modified(SystemTime::now() - DAY * age).unwrap();
        }
        let bytes = cache.usage().unwrap().bytes;
        (cache, bytes)
    }

    #[test]
    fn limits_of_age_and_size_hold_afterwards() {
        let directory = tempfile::tempdir().unwrap();
        let (cache, bytes) = cache(directory.path(), 10);
        let none = cache.collect(Limits::default()).unwrap();
        assert_eq!(none, Removed::default());
        let max_age = Some(DAY * 9 / 2);
        let removed = cache.collect(Limits { max_age, max_bytes: None }).unwrap();
        assert_eq!(removed, Removed { entries: 5, bytes: bytes / 2 });
        let max_bytes = Some(bytes / 10 * 2);
        cache.collect(Limits { max_age: None, max_bytes }).unwrap();
        let usage = cache.usage().unwrap();
        assert_eq!(usage.entries, 2);
        assert!(usage.oldest.unwrap().elapsed().unwrap() < DAY * 2, "the oldest went first");
    }

    #[test]
    fn what_killed_runs_left_is_removed_and_fresh_writes_are_not() {
        let directory = tempfile::tempdir().unwrap();
        let (cache, _) = cache(directory.path(), 1);
        let shard = cache.entries_directories().next().unwrap().join("ab");
        fs::create_dir_all(&shard).unwrap();
        for (name, age) in [("old.1-0.tmp", DAY), ("new.2-0.tmp", Duration::ZERO)] {
            let file = File::create(shard.join(name)).unwrap();
            file.set_modified(SystemTime::now() - age).unwrap();
        }
        let limits = Limits { max_age: None, max_bytes: Some(0) };
        assert_eq!(cache.collect(limits).unwrap().entries, 2);
        assert!(shard.join("new.2-0.tmp").exists());
    }

    #[test]
    fn clearing_removes_all_that_is_remembered_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let (cache, bytes) = cache(&directory.path().join("cache"), 3);
        let root = cache.directory().unwrap();
        let elsewhere = directory.path().join("precious");
        fs::write(&elsewhere, "precious").unwrap();
        let kept =
            ["notes.txt", "layers-x/a/b", "mine/a/b", "layers-1/a/b/c", "layers-1/a/new.tmp"];
        let gone = ["layers-0/ab/cd", "podman-1/ef", "layers-1/ab/link"];
        for path in kept.iter().chain(&gone[..2]).map(|path| root.join(path)) {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        fs::create_dir_all(root.join("layers-1/ab")).unwrap();
        std::os::unix::fs::symlink(&elsewhere, root.join(gone[2])).unwrap();
        std::os::unix::fs::symlink(directory.path(), root.join("layers-7")).unwrap();
        std::os::unix::fs::symlink(directory.path(), root.join("layers-1/linked")).unwrap();
        let removed = cache.clear().unwrap();
        assert_eq!(removed.entries, 3 + 3 + 1, "the links within are entries, too");
        assert!(removed.bytes >= bytes + 2);
        assert!(elsewhere.exists() && kept.iter().all(|path| root.join(path).exists()));
        assert!(gone.iter().all(|path| fs::symlink_metadata(root.join(path)).is_err()));
        assert_eq!(cache.clear().unwrap(), Removed::default());
        assert_eq!(Cache::none().clear().unwrap(), Removed::default());
        assert_eq!(Cache::at(&root.join("absent")).clear().unwrap(), Removed::default());
    }
}
