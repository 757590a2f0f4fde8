//! Remembers the digests of layers from one run to the next.
//!
//! An entry is a pure function of its key, so entries need no lock: each is a small file that is
//! written under a temporary name and renamed. A damaged cache is empty, never wrong: an entry that
//! cannot be read, or is not exactly what was written, counts as missing, and errors while writing
//! are ignored.

mod key;
mod tar_split;
mod upkeep;

use std::fs::{self, File, Metadata};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{Mode, OFlags};

use crate::atomic_file::AtomicFile;

use formats::digest::{BlobId, Digest};
pub use key::{Key, KeyBuilder};
pub use tar_split::{TarSplit, TarSplitWriter};
pub use upkeep::{Limits, Removed, Usage};

/// First line of every entry, and its directory's name, so that entries of other versions are not
/// found.
const VERSION: &str = "layers-1";
/// An upper bound for the size of an entry.
const MAX_ENTRY: u64 = 1024;
/// Suffix of an entry's name while it is being written.
const TEMPORARY: &str = ".tmp";
/// The last use of an entry is recorded at most this often.
const MARK_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

/// A directory of the digests of layers that were hashed before; or no cache at all.
///
/// A layer with the same store paths as in an earlier run need not be hashed again. Any number of
/// programs may use a directory at once. A cache that cannot be read or written only costs time and
/// causes no error.
#[derive(Clone, Debug)]
pub struct Cache {
    directory: Option<PathBuf>,
}

impl Cache {
    /// The user's cache, which the program uses too: `$XDG_CACHE_HOME/nix-image`, or
    /// `~/.cache/nix-image`. Without a home directory, this is [`Self::none`].
    pub fn of_user() -> Self {
        let absolute =
            |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let directory =
            absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
        Self { directory: directory.map(|directory| directory.join("nix-image")) }
    }

    /// A cache that remembers nothing.
    pub const fn none() -> Self {
        Self { directory: None }
    }

    /// The cache in this directory, which is created when the first digest is stored.
    pub fn at(directory: &Path) -> Self {
        Self { directory: Some(directory.to_owned()) }
    }

    /// The cache's directory; `None` if nothing is remembered.
    pub fn directory(&self) -> Option<&Path> {
        self.directory.as_deref()
    }

    /// The entry of a key.
    #[doc(hidden)]
    pub fn get(&self, key: &Key) -> Option<BlobId> {
        let line = self.get_line(key)?;
        let (digest, size) = line.split_once(' ')?;
        let entry = BlobId { digest: digest.parse().ok()?, size: size.parse().ok()? };
        (line_of(&entry) == line).then_some(entry)
    }

    /// The entry of a key that has a line of text.
    #[doc(hidden)]
    pub fn get_line(&self, key: &Key) -> Option<String> {
        let file = open_file(&self.path(key)?, MAX_ENTRY)?;
        let mut text = String::new();
        (&file).take(MAX_ENTRY).read_to_string(&mut text).ok()?;
        let line = text.lines().nth(1)?;
        if format(key, line) != text {
            return None;
        }
        mark_used(&file);
        Some(line.to_owned())
    }

    /// Stores an entry, if possible.
    #[doc(hidden)]
    pub fn put(&self, key: &Key, entry: &BlobId) {
        self.put_line(key, &line_of(entry));
    }

    /// Stores a line of text of up to 800 bytes as an entry, if possible.
    #[doc(hidden)]
    pub fn put_line(&self, key: &Key, line: &str) {
        if let Some(path) = self.path(key) {
            // A failure only costs speed, so it is not reported.
            let _ = write(&path, &format(key, line));
        }
    }

    /// Removes an entry that turned out to be wrong.
    #[doc(hidden)]
    pub fn remove(&self, key: &Key) {
        if let Some(path) = self.path(key) {
            let _ = fs::remove_file(path);
        }
    }

    /// The directories of all kinds of entries.
    fn entries_directories(&self) -> impl Iterator<Item = PathBuf> {
        let directories = [VERSION, tar_split::DIRECTORY].into_iter();
        directories.filter_map(|name| Some(self.directory.as_ref()?.join(name)))
    }

    fn path(&self, key: &Key) -> Option<PathBuf> {
        self.path_in(VERSION, key)
    }

    fn path_in(&self, kind: &str, key: &Key) -> Option<PathBuf> {
        let name = key.to_string();
        let (shard, rest) = name.split_at(2);
        Some(self.directory.as_ref()?.join(kind).join(shard).join(rest))
    }
}

fn line_of(entry: &BlobId) -> String {
    format!("{} {}", entry.digest, entry.size)
}

/// An entry's text. Its seal tells damaged entries.
fn format(key: &Key, line: &str) -> String {
    let text = format!("{VERSION} {key}\n{line}\n");
    let seal = Digest::of(text.as_bytes()).hex();
    format!("{text}{seal}\n")
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let Some(shard) = path.parent() else { return Ok(()) };
    fs::create_dir_all(shard)?;
    let file = AtomicFile::create_in(shard).map_err(io::Error::other)?;
    file.file().write_all(text.as_bytes())?;
    file.persist(path).map_err(io::Error::other)
}

/// Opens an entry of at most `max` bytes. In its place there may be a pipe or a device, which would
/// block, or an endless file.
fn open_file(path: &Path, max: u64) -> Option<File> {
    let may_be_entry = |metadata: &Metadata| metadata.is_file() && metadata.len() <= max;
    // Opening a device can have effects, so check before opening.
    fs::metadata(path).ok().filter(may_be_entry)?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty()).ok()?);
    file.metadata().ok().filter(may_be_entry)?;
    Some(file)
}

/// Records the use in the file's modification time, which tells how old an entry is.
fn mark_used(file: &File) {
    let now = SystemTime::now();
    let age = file.metadata().and_then(|metadata| metadata.modified());
    if age.is_ok_and(|time| now.duration_since(time).is_ok_and(|age| age > MARK_INTERVAL)) {
        let _ = file.set_modified(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> (Key, BlobId) {
        let key = KeyBuilder::new("test").finish();
        (key, BlobId { digest: Digest::of(b"layer"), size: 10240 })
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

    /// Something in an entry's place, and how to create it.
    type Obstacle = (&'static str, fn(&Path) -> io::Result<()>);

    #[test]
    fn what_would_hold_a_reader_up_counts_as_absent() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::at(directory.path());
        let (key, entry) = entry();
        cache.put(&key, &entry);
        let path = cache.path(&key).unwrap();
        let obstacles: [Obstacle; 3] = [
            ("a pipe", |path| {
                let status = std::process::Command::new("mkfifo").arg(path).status()?;
                status.success().then_some(()).ok_or(io::ErrorKind::Other.into())
            }),
            ("a device", |path| std::os::unix::fs::symlink("/dev/zero", path)),
            ("a sparse giant", |path| File::create(path)?.set_len(1 << 40)),
        ];
        for (obstacle, make) in obstacles {
            fs::remove_file(&path).unwrap();
            make(&path).unwrap();
            assert_eq!(cache.get(&key), None, "{obstacle}");
            cache.put(&key, &entry);
            assert_eq!(cache.get(&key), Some(entry), "in place of {obstacle}");
        }
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert_eq!(cache.get(&key), None, "a directory");
    }

    #[test]
    fn the_use_of_an_old_entry_is_noted() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::at(directory.path());
        let (key, entry) = entry();
        cache.put(&key, &entry);
        let path = cache.path(&key).unwrap();
        let old = SystemTime::now() - 2 * MARK_INTERVAL;
        File::options().append(true).open(&path).unwrap().set_modified(old).unwrap();
        assert_eq!(cache.get(&key), Some(entry));
        let used = fs::metadata(&path).unwrap().modified().unwrap();
        assert!(used > old + MARK_INTERVAL);
    }
}
