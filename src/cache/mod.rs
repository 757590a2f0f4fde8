//! Remembers the digests of layers from one run to the next.
//!
//! An entry is a pure function of its key, so entries need no lock: each is a small file that is
//! written under a temporary name and renamed. Whatever is wrong with the cache makes it empty,
//! never wrong: an entry that cannot be read, or is not exactly as it was written, counts as
//! absent, and one that cannot be written is not remembered.

mod key;
mod upkeep;

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use crate::digest::Digest;
pub use key::{Key, KeyBuilder};
pub use upkeep::{Limits, Removed, Usage};

/// First line of every entry, and its directory's name: entries of another version are not seen.
const VERSION: &str = "layers-1";
/// What an entry's name ends with while it is being written.
const TEMPORARY: &str = ".tmp";
/// An entry that is used is marked so at most this often.
const MARK_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

/// Digest and size of a layer's tar file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerDigest {
    /// SHA-256 of the tar file: the layer's diffID.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// A directory of remembered digests, or none.
#[derive(Clone, Debug)]
pub struct Cache {
    directory: Option<PathBuf>,
}

impl Cache {
    /// The user's cache, `$XDG_CACHE_HOME/nix-image` or `~/.cache/nix-image`; without a home
    /// directory there is none.
    pub fn of_user() -> Self {
        let absolute =
            |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let directory =
            absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
        Self { directory: directory.map(|directory| directory.join("nix-image")) }
    }

    /// No cache.
    pub fn none() -> Self {
        Self { directory: None }
    }

    /// A cache in a directory of its own.
    pub fn at(directory: &Path) -> Self {
        Self { directory: Some(directory.to_owned()) }
    }

    /// Where the cache is.
    pub fn directory(&self) -> Option<&Path> {
        self.directory.as_deref()
    }

    /// What is remembered for a key.
    pub fn get(&self, key: &Key) -> Option<LayerDigest> {
        let path = self.path(key)?;
        let text = fs::read_to_string(&path).ok()?;
        let entry = parse(&text, key)?;
        mark_used(&path);
        Some(entry)
    }

    /// Remembers an entry, if that is possible.
    pub fn put(&self, key: &Key, entry: &LayerDigest) {
        if let Some(path) = self.path(key) {
            // Only speed is lost, so nobody needs to hear of it.
            let _ = write(&path, &format(key, entry));
        }
    }

    /// Forgets an entry that turned out to be wrong.
    pub fn remove(&self, key: &Key) {
        if let Some(path) = self.path(key) {
            let _ = fs::remove_file(path);
        }
    }

    fn entries_directory(&self) -> Option<PathBuf> {
        Some(self.directory.as_ref()?.join(VERSION))
    }

    fn path(&self, key: &Key) -> Option<PathBuf> {
        let name = key.to_string();
        let (shard, rest) = name.split_at(2);
        Some(self.entries_directory()?.join(shard).join(rest))
    }
}

fn format(key: &Key, entry: &LayerDigest) -> String {
    let text = format!("{VERSION} {key}\nsha256:{} {}\n", entry.digest, entry.size);
    let seal = Digest::of(text.as_bytes());
    format!("{text}{seal}\n")
}

/// The entry, if the text is what [`format`] wrote for this key.
fn parse(text: &str, key: &Key) -> Option<LayerDigest> {
    let (digest, size) = text.lines().nth(1)?.strip_prefix("sha256:")?.split_once(' ')?;
    let entry = LayerDigest { digest: digest.parse().ok()?, size: size.parse().ok()? };
    (format(key, &entry) == text).then_some(entry)
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let temporary = path.with_extension(format!("{}-{count}{TEMPORARY}", std::process::id()));
    if let Some(shard) = path.parent() {
        fs::create_dir_all(shard)?;
    }
    let written = File::create_new(&temporary)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Notes the use in the entry's time of change, by which old entries are told.
fn mark_used(path: &Path) {
    let now = SystemTime::now();
    let file = File::options().append(true).open(path);
    let Ok(file) = file else { return };
    let age = file.metadata().and_then(|metadata| metadata.modified());
    if age.is_ok_and(|time| now.duration_since(time).is_ok_and(|age| age > MARK_INTERVAL)) {
        let _ = file.set_modified(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> (Key, LayerDigest) {
        let key = KeyBuilder::new("test").finish();
        (key, LayerDigest { digest: Digest::of(b"layer"), size: 10240 })
    }

    #[test]
    fn entries_are_remembered_and_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::at(directory.path());
        let (key, entry) = entry();
        assert_eq!(cache.get(&key), None);
        cache.put(&key, &entry);
        assert_eq!(cache.get(&key), Some(entry));
        cache.remove(&key);
        assert_eq!(cache.get(&key), None);
        Cache::none().put(&key, &entry);
        assert_eq!(Cache::none().get(&key), None);
    }

    #[test]
    fn damaged_and_foreign_entries_count_as_absent() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::at(directory.path());
        let (key, entry) = entry();
        cache.put(&key, &entry);
        let path = cache.path(&key).unwrap();
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&path, &bad).unwrap();
            assert_eq!(cache.get(&key), None, "byte {at} changed");
            fs::write(&path, &good[..at]).unwrap();
            assert_eq!(cache.get(&key), None, "cut at {at}");
        }
        let other = String::from_utf8(good.clone()).unwrap().replace(VERSION, "layers-0");
        fs::write(&path, other).unwrap();
        assert_eq!(cache.get(&key), None);
        let another_key = KeyBuilder::new("another").finish();
        let another_path = cache.path(&another_key).unwrap();
        fs::create_dir_all(another_path.parent().unwrap()).unwrap();
        fs::write(another_path, good).unwrap();
        assert_eq!(cache.get(&another_key), None);
    }
}
