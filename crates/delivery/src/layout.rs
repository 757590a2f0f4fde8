//! An OCI layout in a directory, which grows image by image.
//!
//! Blobs are written first, each under a temporary name until it is complete, and the index last.
//! So there is a valid layout whenever a run ends: the previous one or the new one.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::slice;

use rustix::fs::{FlockOperation, OFlags, flock};

use crate::archive::{BLOBS, put_blob};
use crate::error::{LayoutError, MarkerError};
use crate::output::{Output, Writer};
use crate::sink::check_platforms;
use crate::{Error, Observer, Sink, Step, Transfer};
use formats::digest::{Digest, HashWriter};
use image::{AtomicFile, Blob, Blobs, Digester, FileError, sync_directory, threads};
use oci::{Descriptor, Flavor, Index, LAYOUT, LAYOUT_FILE, MAX_DOCUMENT, Reference};

/// How many layers are written at a time; more only slow down a disk.
const MAX_WRITERS: usize = 4;
const INDEX: &str = "index.json";

/// Adds an image to an OCI layout: a directory of blobs, which may hold several images.
///
/// Blobs that already exist are kept. The index is replaced last, so the layout is valid at all
/// times, and other programs may add to it meanwhile.
#[derive(Debug)]
pub struct OciLayout {
    directory: PathBuf,
    name: Reference,
    verify: bool,
    written: Option<Digest>,
}

impl OciLayout {
    /// The layout in this directory, to which an image is added under this name. If the directory
    /// is empty or missing, a new layout is created when the image is written.
    ///
    /// # Errors
    ///
    /// If the directory cannot be read or contains anything but a layout.
    pub fn open(directory: &Path, name: &Reference) -> Result<Self, LayoutError> {
        let (directory, name) = (directory.to_owned(), name.clone());
        let layout = Self { directory, name, verify: false, written: None };
        let directory = &layout.directory;
        let reading = |source| LayoutError::Read { path: directory.clone(), source };
        match fs::metadata(directory) {
            Ok(metadata) if !metadata.is_dir() => return Err(LayoutError::File(directory.clone())),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(reading(error.into())),
        }
        let marker = || read_document(&directory.join(LAYOUT_FILE)).map_err(reading);
        if let Some(marker) = marker()? {
            check_marker(&marker).map_err(reading)?;
        } else if let Some(found) = layout.foreign_name() {
            // Another run may have turned it into a layout meanwhile; the marker is written first.
            let foreign = || LayoutError::Foreign { path: directory.clone(), found };
            let marker = marker()?.ok_or_else(foreign)?;
            check_marker(&marker).map_err(reading)?;
        }
        Ok(layout)
    }

    /// Whether to hash existing blobs and replace damaged ones. Off by default: then an existing
    /// blob is kept if it has the right size.
    #[must_use]
    pub fn verify(self, verify: bool) -> Self {
        Self { verify, ..self }
    }

    /// The digest of the manifest that was written, or `None` if none was.
    pub fn digest(&self) -> Option<Digest> {
        self.written
    }

    /// Turns the directory into a layout without images, so that it is valid whenever the run ends.
    fn begin(&self) -> Result<(), Error> {
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

    /// A file that does not belong to a layout, ignoring leftovers of killed runs.
    fn foreign_name(&self) -> Option<String> {
        let entries = fs::read_dir(&self.directory).into_iter().flatten().flatten();
        let mut names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.find(|name| name != "blobs" && !name.starts_with(".nix-image-"))
    }

    /// Writes the layers that are missing or damaged.
    fn write_layers(&self, blobs: &Blobs<'_>, observer: &dyn Observer) -> Result<Transfer, Error> {
        let mut seen = HashSet::new();
        let all = blobs.all().iter().enumerate();
        // Only the first of several layers with the same digest.
        let layers: Vec<_> =
            all.filter(|(_, blob)| seen.insert(blob.digest)).map(|(layer, _)| layer).collect();
        let threads = threads::cores().min(MAX_WRITERS);
        let written = threads::map(threads, &layers, |&layer| {
            let Blob { digest, size, .. } = blobs.all()[layer];
            let presence = self.presence(digest, size, self.verify);
            if presence == Presence::Whole {
                observer.layer_found(layer);
                return Ok(None);
            }
            self.write_layer(blobs, layer, observer)?;
            observer.layer_done(layer, &blobs.image().layers()[layer], size);
            if presence == Presence::Damaged {
                warn_of_damage(&self.blob(digest), observer);
            }
            Ok::<_, Error>(Some(size))
        })?;
        let sent = written.into_iter().flatten();
        let mut transfer =
            Transfer { layers: blobs.all().len(), bytes: blobs.size(), ..Transfer::default() };
        for size in sent {
            transfer.layers_sent += 1;
            transfer.bytes_sent += size;
        }
        Ok(transfer)
    }

    fn write_layer(
        &self,
        blobs: &Blobs<'_>,
        layer: usize,
        observer: &dyn Observer,
    ) -> Result<(), Error> {
        self.write_file(&self.blob(blobs.all()[layer].digest), "the blob", |output| {
            put_blob(blobs, layer, output, observer)
        })
    }

    /// Writes a document that is missing or damaged.
    fn write_document(
        &self,
        descriptor: &Descriptor,
        text: &str,
        observer: &dyn Observer,
    ) -> Result<(), Error> {
        let path = self.blob(descriptor.digest);
        let presence = self.presence(descriptor.digest, descriptor.size, true);
        if presence == Presence::Whole {
            return Ok(());
        }
        self.put(&path, text)?;
        if presence == Presence::Damaged {
            warn_of_damage(&path, observer);
        }
        Ok(())
    }

    fn put(&self, path: &Path, text: &str) -> Result<(), Error> {
        self.write_file(path, "the document", |output| Ok(output.put(text.as_bytes())?))
    }

    /// Writes a file, which gets its name once it is complete and synced to disk.
    fn write_file(
        &self,
        path: &Path,
        what: &'static str,
        write: impl FnOnce(&mut Output) -> Result<(), Error>,
    ) -> Result<(), Error> {
        // A directory cannot be replaced.
        if fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir()) {
            return Err(LayoutError::Directory(path.to_owned()).into());
        }
        let file = AtomicFile::create_in(&self.directory)?;
        let writing = |error: Error| Error::writing(path, error);
        let mut output = Output::of_file(file.file()).map_err(|e| writing(e.into()))?.of(what);
        write(&mut output).and_then(|()| Ok(output.finish()?)).map_err(writing)?;
        Ok(file.persist_durably(path)?)
    }

    /// The current index.
    fn index(&self) -> Result<Index, LayoutError> {
        let path = self.directory.join(INDEX);
        match read_document(&path) {
            Ok(Some(bytes)) => {
                Index::parse(&bytes).map_err(|source| LayoutError::Index { path, source })
            }
            Ok(None) => Ok(Index::new(Flavor::Oci)),
            Err(source) => Err(LayoutError::Read { path, source }),
        }
    }

    /// Locks the layout, as an image would be lost if two runs replaced the index at the same time.
    fn lock(&self) -> Result<File, FileError> {
        let locking = |error| FileError::new("locking", &self.directory, error);
        let directory = File::open(&self.directory).map_err(locking)?;
        flock(&directory, FlockOperation::LockExclusive).map_err(|error| locking(error.into()))?;
        Ok(directory)
    }

    fn blob(&self, digest: Digest) -> PathBuf {
        self.directory.join(BLOBS).join(digest.hex())
    }

    /// Whether a blob exists: a file with the right size and, if `verify` is set, the right
    /// content.
    fn presence(&self, digest: Digest, size: u64, verify: bool) -> Presence {
        let path = self.blob(digest);
        match fs::symlink_metadata(&path) {
            Err(_) => Presence::Absent,
            Ok(metadata) if !metadata.is_file() || metadata.len() != size => Presence::Damaged,
            Ok(_) if verify && !has_digest(&path, digest) => Presence::Damaged,
            Ok(_) => Presence::Whole,
        }
    }
}

impl OciLayout {
    /// Writes images for several platforms under one name, with an index of them. Each digester is
    /// for one of the images. A single image is written as by [`Sink::write`].
    ///
    /// # Errors
    ///
    /// Those of [`Sink::write`], and if two of the images are for the same architecture.
    pub fn write_platforms(
        &mut self,
        digesters: &[Digester<'_>],
        observer: &dyn Observer,
    ) -> Result<Transfer, Error> {
        check_platforms(digesters)?;
        // Find a broken index before hours of hashing and writing, not after.
        self.index()?;
        let (mut transfer, mut entries) = (Transfer::default(), Vec::new());
        for digester in digesters {
            let (sent, entry) = self.write_image(digester, observer)?;
            transfer.add(sent);
            entries.push(entry);
        }
        let entry = match <[Descriptor; 1]>::try_from(entries) {
            Ok([entry]) => entry,
            Err(entries) => self.write_index(&entries, observer)?,
        };
        self.name_it(entry, observer)?;
        observer.finished();
        Ok(transfer)
    }

    /// Writes everything of an image except its name.
    fn write_image(
        &self,
        digester: &Digester<'_>,
        observer: &dyn Observer,
    ) -> Result<(Transfer, Descriptor), Error> {
        observer.step(Step::Reading, None);
        let blobs = Blobs::find(digester)?;
        observer.started(slice::from_ref(blobs.image()));
        observer.step(Step::Sending, Some(blobs.size()));
        create_directory(&self.directory.join(BLOBS))?;
        AtomicFile::remove_abandoned(&self.directory);
        self.begin()?;
        let transfer = self.write_layers(&blobs, observer)?;
        observer.documents_started();
        let documents = blobs.documents(Flavor::Oci);
        self.write_document(&documents.config_descriptor, &documents.config, observer)?;
        self.write_document(&documents.descriptor, &documents.manifest, observer)?;
        Ok((transfer, documents.descriptor))
    }

    /// Writes the index of an image's platforms.
    fn write_index(
        &self,
        entries: &[Descriptor],
        observer: &dyn Observer,
    ) -> Result<Descriptor, Error> {
        let index = Index::of(Flavor::Oci, entries).to_json();
        let descriptor = Descriptor::of(Flavor::Oci.index(), index.as_bytes());
        self.write_document(&descriptor, &index, observer)?;
        Ok(descriptor)
    }

    /// Gives a manifest or index the layout's name for the image.
    fn name_it(&mut self, entry: Descriptor, observer: &dyn Observer) -> Result<(), Error> {
        // The index must not reach the disk before the blobs it refers to.
        sync_directory(&self.directory.join(BLOBS))?;
        let lock = self.lock()?;
        let mut index = self.index()?;
        self.written = Some(entry.digest);
        let chosen_by = index.put(entry, &self.name);
        self.put(&self.directory.join(INDEX), &index.to_json())?;
        drop(lock);
        sync_directory(&self.directory)?;
        if let Some(names) = chosen_by {
            observer.warn(&format!(
                "`{}` has several images with the tag `{}`, which are now named `{}`",
                self.directory.display(),
                self.name.tag(),
                names.join("`, `")
            ));
        }
        Ok(())
    }
}

impl Sink for OciLayout {
    fn write(
        &mut self,
        digester: &Digester<'_>,
        observer: &dyn Observer,
    ) -> Result<Transfer, Error> {
        self.write_platforms(slice::from_ref(digester), observer)
    }
}

/// The state of a blob in the layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    Absent,
    Damaged,
    Whole,
}

fn warn_of_damage(path: &Path, observer: &dyn Observer) {
    observer.warn(&format!("`{}` was damaged and is written again", path.display()));
}

/// Whether a file can be read and has this digest.
fn has_digest(path: &Path, digest: Digest) -> bool {
    let mut hash = HashWriter::default();
    let file = File::open(path);
    let read = file.and_then(|mut file| io::copy(&mut file, &mut hash));
    read.is_ok() && hash.finish() == digest
}

/// Creates a directory and its parents, and syncs them to disk.
fn create_directory(directory: &Path) -> Result<(), FileError> {
    let missing: Vec<_> = directory.ancestors().take_while(|ancestor| !ancestor.exists()).collect();
    fs::create_dir_all(directory).map_err(|error| FileError::new("creating", directory, error))?;
    missing.into_iter().filter_map(Path::parent).try_for_each(sync_directory)
}

fn check_marker(marker: &[u8]) -> Result<(), MarkerError> {
    let mut marker: serde_json::Value = serde_json::from_slice(marker)?;
    match marker["imageLayoutVersion"].as_str() {
        Some(version) if version.starts_with("1.") => Ok(()),
        _ => Err(MarkerError::Version(marker["imageLayoutVersion"].take())),
    }
}

/// A document of the layout, if it exists.
fn read_document(path: &Path) -> Result<Option<Vec<u8>>, MarkerError> {
    // Non-blocking, so as not to wait for the writer of a pipe.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = match File::options().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if !file.metadata()?.is_file() {
        return Err(MarkerError::Kind(path.to_owned()));
    }
    let mut bytes = Vec::new();
    // One byte more than allowed, to detect what is too large.
    file.take(MAX_DOCUMENT + 1).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}
