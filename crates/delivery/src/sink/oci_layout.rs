//! An OCI layout in a directory, which grows image by image.
//!
//! Blobs come first, each under a temporary name until it is complete, and the index last, so
//! whenever a run ends there is a valid layout: the one of before, or the new one.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, anyhow, bail};
use rustix::fs::{FlockOperation, OFlags, flock};
use thiserror::Error;

use super::oci_archive::{BLOBS, put_blob};
use super::{Destination as _, NewFile, Output, sync_directory};
use formats::digest::{Digest, HashWriter};
use image::engine::{Blob, Blobs};
use image::threads::{self, ThreadError};
use oci::{Flavor, Index, LAYOUT, LAYOUT_FILE, MAX_DOCUMENT, Reference};

/// Layers that are written at a time; more than these only make a disk slower.
const MAX_WRITERS: usize = 4;
const INDEX: &str = "index.json";

/// A layout's directory.
#[derive(Debug)]
pub struct Layout {
    directory: PathBuf,
}

/// What was added to a layout or sent to an engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Layers that were not there.
    pub layers: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// What adding an image came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Added {
    /// What had to be written.
    pub written: Written,
    /// Blobs that were there and not what their names say; they are written anew.
    pub damaged: Vec<PathBuf>,
    /// What the images with this image's tag are chosen by, if it shares the tag from now on.
    pub chosen_by: Option<Vec<String>>,
}

/// A file stands where a layout is to be.
#[derive(Debug, Error)]
#[error("`{}` is a file, and an OCI layout is a directory; name a directory", .0.display())]
pub struct LayoutIsFile(PathBuf);

impl Layout {
    /// The layout in a directory; a new one if the directory is empty or not there.
    pub fn open(directory: &Path) -> anyhow::Result<Self> {
        let layout = Self { directory: directory.to_owned() };
        let reading = || format!("reading the layout `{}`", directory.display());
        match fs::metadata(directory) {
            Ok(metadata) if !metadata.is_dir() => {
                return Err(LayoutIsFile(directory.to_owned()).into());
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(reading),
        }
        let marker = || read_document(&directory.join(LAYOUT_FILE)).with_context(reading);
        if let Some(marker) = marker()? {
            check_marker(&marker).with_context(reading)?;
        } else if let Some(name) = layout.foreign_name() {
            // Another run may have made it a layout meanwhile; the marker comes first.
            let Some(marker) = marker()? else {
                bail!(
                    "`{}` holds `{name}` and is no OCI layout; write to another place, or to \
                     an empty directory",
                    directory.display()
                );
            };
            check_marker(&marker).with_context(reading)?;
        }
        Ok(layout)
    }

    /// Adds an image under its name. Blobs that are there, of the right size, are kept; with
    /// `verify`, only if they have the right content as well.
    pub fn add(&self, blobs: &Blobs<'_>, name: &Reference, verify: bool) -> anyhow::Result<Added> {
        // A broken index shows before hours of writing, not after.
        self.index()?;
        let directory = self.directory.join(BLOBS);
        create_directory(&directory)?;
        NewFile::remove_abandoned(&self.directory);
        self.begin()?;
        let mut added = self.write_layers(blobs, verify)?;
        let documents = blobs.documents(Flavor::Oci);
        for (descriptor, text) in [
            (&documents.config_descriptor, &documents.config),
            (&documents.descriptor, &documents.manifest),
        ] {
            match self.look_at(descriptor.digest, descriptor.size, true) {
                Held::Whole => continue,
                Held::Damaged => added.damaged.push(self.blob(descriptor.digest)),
                Held::Not => {}
            }
            self.put(&self.blob(descriptor.digest), text)?;
        }
        // The index must not get to the disk before what it names.
        sync_directory(&directory)?;
        let lock = self.lock()?;
        let mut index = self.index()?;
        added.chosen_by = index.put(documents.descriptor, name);
        self.put(&self.directory.join(INDEX), &index.to_json())?;
        drop(lock);
        sync_directory(&self.directory)?;
        Ok(added)
    }

    /// Makes the directory a layout, as yet without an image, so that it is one whenever the run
    /// ends.
    fn begin(&self) -> anyhow::Result<()> {
        let _lock = self.lock()?;
        let index = Index::new(Flavor::Oci).to_json();
        for (name, text) in [(LAYOUT_FILE, LAYOUT), (INDEX, &index)] {
            let path = self.directory.join(name);
            if !path.exists() {
                self.put(&path, text)?;
            }
        }
        Ok(())
    }

    /// What keeps a directory from becoming a layout: anything but what a killed run has left.
    fn foreign_name(&self) -> Option<String> {
        let entries = fs::read_dir(&self.directory).into_iter().flatten().flatten();
        let mut names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.find(|name| name != "blobs" && !name.starts_with(".nix-image-"))
    }

    /// Writes the layers that are not there, and those that are damaged.
    fn write_layers(&self, blobs: &Blobs<'_>, verify: bool) -> anyhow::Result<Added> {
        let mut seen = HashSet::new();
        let all = blobs.all().iter().enumerate();
        // The first of those with each digest.
        let layers: Vec<_> =
            all.filter(|(_, blob)| seen.insert(blob.digest)).map(|(layer, _)| layer).collect();
        let next = AtomicUsize::new(0);
        let outcome = Mutex::new(Ok(Added::default()));
        let work = || {
            while let Some(&layer) = layers.get(next.fetch_add(1, Ordering::Relaxed)) {
                let Blob { digest, size, .. } = blobs.all()[layer];
                let held = self.look_at(digest, size, verify);
                if held == Held::Whole {
                    continue;
                }
                let written = self.write_layer(blobs, layer);
                let Ok(mut outcome) = outcome.lock() else { return };
                match (&mut *outcome, written) {
                    (Ok(added), Ok(())) => added.note(size, self.blob(digest), held),
                    (Ok(_), Err(error)) => {
                        next.store(layers.len(), Ordering::Relaxed);
                        *outcome = Err(error);
                    }
                    // What fails after the first failure is of no interest.
                    (Err(_), _) => return,
                }
            }
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| {
            for _ in 0..threads.min(MAX_WRITERS).min(layers.len()) {
                let started = threads::spawn(scope, work);
                started.inspect_err(|_| next.store(layers.len(), Ordering::Relaxed))?;
            }
            Ok::<_, ThreadError>(())
        })?;
        outcome.into_inner().map_err(|_| anyhow!("writing the layers ended early"))?
    }

    fn write_layer(&self, blobs: &Blobs<'_>, layer: usize) -> anyhow::Result<()> {
        let path = self.blob(blobs.all()[layer].digest);
        let file = self.create(&path)?;
        let mut output = Output::new(file.handle()?)?.of("the blob");
        put_blob(blobs, layer, &mut output)
            .and_then(|()| output.finish())
            .with_context(|| format!("writing `{}`", path.display()))?;
        file.finish(&path)
    }

    /// A file for a path, in whose place a directory cannot be replaced and may hold anything.
    fn create(&self, path: &Path) -> anyhow::Result<NewFile> {
        if fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir()) {
            bail!("`{}` is a directory where a file belongs; remove it", path.display());
        }
        NewFile::create_in(&self.directory)
    }

    fn put(&self, path: &Path, text: &str) -> anyhow::Result<()> {
        let file = self.create(path)?;
        let mut output = Output::new(file.handle()?)?.of("the document");
        output
            .put(text.as_bytes())
            .and_then(|()| output.finish())
            .with_context(|| format!("writing `{}`", path.display()))?;
        file.finish(path)
    }

    /// The index as it is now.
    fn index(&self) -> anyhow::Result<Index> {
        let path = self.directory.join(INDEX);
        let reading = || format!("reading `{}`", path.display());
        match read_document(&path).with_context(reading)? {
            Some(bytes) => Index::parse(&bytes)
                .with_context(|| format!("`{}` is broken; repair or remove it", path.display())),
            None => Ok(Index::new(Flavor::Oci)),
        }
    }

    /// Two runs must not replace the index at a time, or one image would be lost.
    fn lock(&self) -> anyhow::Result<File> {
        let locking = || format!("locking `{}`", self.directory.display());
        let directory = File::open(&self.directory).with_context(locking)?;
        flock(&directory, FlockOperation::LockExclusive).with_context(locking)?;
        Ok(directory)
    }

    fn blob(&self, digest: Digest) -> PathBuf {
        self.directory.join(BLOBS).join(digest.hex())
    }

    /// Whether a blob is there: a file of the right size, and where it is to be verified, of the
    /// right content.
    fn look_at(&self, digest: Digest, size: u64, verify: bool) -> Held {
        let path = self.blob(digest);
        let metadata = fs::symlink_metadata(&path);
        match metadata {
            Err(_) => Held::Not,
            Ok(metadata) if !metadata.is_file() || metadata.len() != size => Held::Damaged,
            Ok(_) if verify && !has_digest(&path, digest) => Held::Damaged,
            Ok(_) => Held::Whole,
        }
    }
}

/// What there is of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    Not,
    Damaged,
    Whole,
}

impl Added {
    fn note(&mut self, size: u64, path: PathBuf, held: Held) {
        self.written.layers += 1;
        self.written.bytes += size;
        if held == Held::Damaged {
            self.damaged.push(path);
        }
    }
}

/// Whether a file can be read and has that digest.
fn has_digest(path: &Path, digest: Digest) -> bool {
    let mut hash = HashWriter::default();
    let file = File::open(path);
    let read = file.and_then(|mut file| io::copy(&mut file, &mut hash));
    read.is_ok() && hash.finish() == digest
}

/// Makes a directory, and those that lead to it, and sees to it that they last.
fn create_directory(directory: &Path) -> anyhow::Result<()> {
    let missing: Vec<_> = directory.ancestors().take_while(|ancestor| !ancestor.exists()).collect();
    fs::create_dir_all(directory).with_context(|| format!("creating `{}`", directory.display()))?;
    missing.into_iter().filter_map(Path::parent).try_for_each(sync_directory)
}

fn check_marker(marker: &[u8]) -> anyhow::Result<()> {
    let marker: serde_json::Value =
        serde_json::from_slice(marker).with_context(|| format!("its `{LAYOUT_FILE}` is broken"))?;
    match marker["imageLayoutVersion"].as_str() {
        Some(version) if version.starts_with("1.") => Ok(()),
        _ => {
            bail!("its version is {}; this program knows 1.0.0 only", marker["imageLayoutVersion"])
        }
    }
}

/// A document of the layout, if it is there.
fn read_document(path: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    // Without waiting, as for the writer of a pipe.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = match File::options().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if !file.metadata()?.is_file() {
        bail!("`{}` is not a regular file; remove it", path.display());
    }
    let mut bytes = Vec::new();
    // One byte more shows what is too large.
    file.take(MAX_DOCUMENT + 1).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}
