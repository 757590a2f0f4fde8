//! Remembers the tar-splits of layers, which are made while a layer is hashed.
//!
//! An entry is the tar-split in the format of containers/storage, compressed with gzip, followed by
//! a seal of [`SEAL`] bytes: the SHA-256 of the key and of everything before the seal.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Seek as _, SeekFrom, Write};
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::{Cache, Key, mark_used, open_file};
use crate::atomic_file::AtomicFile;
use formats::sha256::Sha256;
use formats::tar_split;

/// The entries' directory, whose name has a version, so that entries of other versions are not
/// found.
pub(super) const DIRECTORY: &str = "tar-splits-1";
/// Bytes of the seal at an entry's end.
const SEAL: u64 = 32;
/// Headers are much alike, so a higher level saves little.
const LEVEL: u32 = 1;

/// A layer's tar-split, compressed with gzip.
#[derive(Debug)]
pub struct TarSplit {
    file: File,
    size: u64,
}

/// A tar-split that is being written.
#[derive(Debug)]
#[doc(hidden)]
pub struct TarSplitWriter {
    split: tar_split::TarSplit,
    lines: Vec<u8>,
    output: GzEncoder<Sealed>,
    /// The file being written and its final path in the cache; `None` for a tar-split that is not
    /// remembered.
    remembered: Option<(AtomicFile, PathBuf)>,
}

/// Hashes what it writes to a file.
#[derive(Debug)]
struct Sealed {
    file: BufWriter<File>,
    hash: Sha256,
    size: u64,
}

impl TarSplit {
    /// The compressed size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Reads the compressed bytes from the start.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn open(&mut self) -> io::Result<impl Read> {
        self.file.seek(SeekFrom::Start(0))?;
        Ok((&self.file).take(self.size))
    }
}

impl Cache {
    /// The tar-split that is remembered for a key.
    pub(crate) fn tar_split(&self, key: &Key) -> Option<TarSplit> {
        let file = open_file(&self.path_in(DIRECTORY, key)?, u64::MAX)?;
        let size = file.metadata().ok()?.len().checked_sub(SEAL)?;
        let mut hash = start(key);
        let mut content = (&file).take(size);
        let mut buffer = vec![0; 64 << 10];
        loop {
            match content.read(&mut buffer).ok()? {
                0 => break,
                bytes => hash.update(&buffer[..bytes]),
            }
        }
        let mut seal = [0; SEAL as usize];
        (&file).read_exact(&mut seal).ok()?;
        mark_used(&file);
        (hash.finish() == seal).then_some(TarSplit { file, size })
    }

    /// Starts a tar-split that will be remembered for a key, if the cache is writable.
    pub(crate) fn new_tar_split(&self, key: &Key) -> io::Result<TarSplitWriter> {
        let in_cache = self.path_in(DIRECTORY, key).and_then(|path| {
            let shard = path.parent()?;
            fs::create_dir_all(shard).ok()?;
            Some((AtomicFile::create_in(shard).ok()?, path))
        });
        match in_cache {
            Some((file, path)) => {
                let output = file.file().try_clone()?;
                Ok(TarSplitWriter::new(output, Some((file, path)), start(key)))
            }
            None => TarSplitWriter::temporary(),
        }
    }
}

fn start(key: &Key) -> Sha256 {
    let mut hash = Sha256::new();
    hash.update(&key.digest().0);
    hash
}

impl TarSplitWriter {
    /// A tar-split that is not remembered.
    ///
    /// # Errors
    ///
    /// If no temporary file can be created.
    pub fn temporary() -> io::Result<Self> {
        // An unnamed file, so that nothing is left if the process is killed.
        Ok(Self::new(tempfile::tempfile()?, None, Sha256::new()))
    }

    fn new(output: File, remembered: Option<(AtomicFile, PathBuf)>, hash: Sha256) -> Self {
        let writer = BufWriter::with_capacity(64 << 10, output);
        Self {
            split: tar_split::TarSplit::default(),
            lines: Vec::new(),
            output: GzEncoder::new(Sealed { file: writer, hash, size: 0 }, Compression::new(LEVEL)),
            remembered,
        }
    }

    /// Adds the next bytes of the layer.
    ///
    /// # Errors
    ///
    /// If the layer has members that a tar-split cannot represent, or the file cannot be written.
    pub fn update(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.split.update(bytes, &mut self.lines).map_err(io::Error::other)?;
        self.put_lines()
    }

    /// Finishes the tar-split, and remembers it if it has a key.
    ///
    /// # Errors
    ///
    /// If the layer ended within a member, or the file cannot be written.
    pub fn finish(mut self) -> io::Result<TarSplit> {
        std::mem::take(&mut self.split).finish(&mut self.lines).map_err(io::Error::other)?;
        self.put_lines()?;
        let Sealed { mut file, hash, size } = self.output.finish()?;
        file.write_all(&hash.finish())?;
        let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        if let Some((remembered, path)) = self.remembered {
            remembered.persist(&path).map_err(io::Error::other)?;
        }
        Ok(TarSplit { file, size })
    }

    fn put_lines(&mut self) -> io::Result<()> {
        self.output.write_all(&self.lines)?;
        self.lines.clear();
        Ok(())
    }
}

impl Write for Sealed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_all(bytes)?;
        self.hash.update(bytes);
        self.size += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::KeyBuilder;
    use formats::tar;

    #[test]
    fn tar_splits_are_remembered_and_damaged_ones_are_absent() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::at(directory.path());
        let key = KeyBuilder::new("test").finish();
        assert!(cache.tar_split(&key).is_none());
        let make = |cache: &Cache| {
            let mut writer = cache.new_tar_split(&key).unwrap();
            writer.update(tar::trailer(0)).unwrap();
            let mut made = writer.finish().unwrap();
            let mut bytes = Vec::new();
            made.open().unwrap().read_to_end(&mut bytes).unwrap();
            assert_eq!(bytes.len() as u64, made.size());
            bytes
        };
        let made = make(&cache);
        assert_eq!(make(&Cache::none()), made);
        let mut found = Vec::new();
        cache.tar_split(&key).unwrap().open().unwrap().read_to_end(&mut found).unwrap();
        assert_eq!(found, made);
        let mut lines = String::new();
        flate2::read::GzDecoder::new(&*made).read_to_string(&mut lines).unwrap();
        assert!(lines.starts_with(r#"{"type":2,"payload":"AAAA"#), "{lines}");
        let path = cache.path_in(DIRECTORY, &key).unwrap();
        let good = fs::read(&path).unwrap();
        for at in [0, good.len() / 2, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&path, &bad).unwrap();
            assert!(cache.tar_split(&key).is_none(), "byte {at} changed");
            fs::write(&path, &good[..at]).unwrap();
            assert!(cache.tar_split(&key).is_none(), "cut at {at}");
        }
        let other = cache.path_in(DIRECTORY, &KeyBuilder::new("other").finish()).unwrap();
        fs::create_dir_all(other.parent().unwrap()).unwrap();
        fs::write(&other, good).unwrap();
        assert!(cache.tar_split(&KeyBuilder::new("other").finish()).is_none());
    }
}
