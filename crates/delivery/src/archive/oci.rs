//! An archive that every engine and tool can read: an OCI layout in a tar file, with a
//! docker-archive's manifest that refers to the same blobs.

use std::collections::HashSet;
use std::slice;

use super::{MEMBER_MODE, put_document};
use crate::error::OutputError;
use crate::output::Writer;
use crate::sink::check_platforms;
use crate::{Error, Observer, Sink, Step, Transfer};
use formats::digest::{Digest, HashWriter};
use formats::tar::{self, Member};
use image::{Blobs, Chunk, Digester};
use oci::{Descriptor, Flavor, Index, LAYOUT, LAYOUT_FILE, Reference};

/// The directory of the blobs in layouts and archives.
pub(crate) const BLOBS: &str = "blobs/sha256";
const DIRECTORY_MODE: u32 = 0o755;

/// Writes an OCI archive: an OCI layout in a tar file, which `docker load` can read too.
///
/// Layers are not compressed, except those that are compressed in a base image. Each is hashed
/// again while it is written, and must have the digest found before.
#[derive(Debug)]
pub struct OciArchive<'a> {
    output: &'a mut dyn Writer,
    name: &'a Reference,
    /// The blobs written so far.
    blobs: HashSet<Digest>,
    written: Option<Digest>,
}

impl<'a> OciArchive<'a> {
    /// An archive written to `output`, in which the image has this name.
    pub fn new(output: &'a mut dyn Writer, name: &'a Reference) -> Self {
        Self { output, name, blobs: HashSet::new(), written: None }
    }

    /// The digest of the manifest that was written, or `None` if none was.
    pub fn digest(&self) -> Option<Digest> {
        self.written
    }

    /// Writes each blob once; returns the member names of all layers, and how much was written.
    fn put_layers(
        &mut self,
        blobs: &Blobs<'_>,
        observer: &dyn Observer,
    ) -> Result<(Vec<String>, Transfer), Error> {
        let mut transfer = Transfer::none(blobs.all().len(), blobs.size());
        let mut members = Vec::with_capacity(blobs.all().len());
        for (index, (blob, layer)) in blobs.all().iter().zip(blobs.image().layers()).enumerate() {
            let member = member(blob.digest);
            if self.blobs.insert(blob.digest) {
                observer.layer_started(index, layer);
                let mtime = blobs.image().mtime();
                put_header(self.output, &member, tar::REGULAR, blob.size, mtime)?;
                put_blob(blobs, index, self.output, observer)?;
                self.output.put(tar::padding(blob.size))?;
                transfer.layers_sent += 1;
                transfer.bytes_sent += blob.size;
                observer.layer_done(index, layer, blob.size);
            } else {
                observer.layer_found(index);
            }
            members.push(member);
        }
        Ok((members, transfer))
    }

    /// Writes images for several platforms under one name, with an index of them. Each digester is
    /// for one of the images. A single image is written as by [`Sink::write`].
    ///
    /// Several images have no docker-archive's manifest: dockerd would read it and give the name to
    /// the image of an arbitrary platform.
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
        let mtime = digesters.first().map_or(0, |digester| digester.image().mtime());
        let (mut transfer, mut entries) = (Transfer::default(), Vec::new());
        let mut docker_manifest = None;
        for digester in digesters {
            observer.step(Step::Reading, None);
            let blobs = Blobs::find(digester)?;
            observer.started(slice::from_ref(blobs.image()));
            observer.step(Step::Sending, Some(blobs.size()));
            if entries.is_empty() {
                for directory in ["blobs", BLOBS] {
                    put_header(self.output, directory, tar::DIRECTORY, 0, mtime)?;
                }
            }
            let (members, sent) = self.put_layers(&blobs, observer)?;
            transfer.add(sent);
            observer.documents_started();
            let documents = blobs.documents(Flavor::Oci);
            let config =
                self.put_blob_document(&documents.config_descriptor, &documents.config, mtime)?;
            self.put_blob_document(&documents.descriptor, &documents.manifest, mtime)?;
            docker_manifest = Some(blobs.image().manifest_json(&config, &members));
            entries.push(documents.descriptor);
        }
        let entry = match <[Descriptor; 1]>::try_from(entries) {
            Ok([entry]) => entry,
            Err(entries) => {
                docker_manifest = None;
                let index = Index::of(Flavor::Oci, &entries).to_json();
                let descriptor = Descriptor::of(Flavor::Oci.index(), index.as_bytes());
                self.put_blob_document(&descriptor, &index, mtime)?;
                descriptor
            }
        };
        self.put_names(entry, docker_manifest.as_deref(), mtime)?;
        observer.finished();
        Ok(transfer)
    }

    /// Writes a document as a blob unless it was written before; returns its member's name.
    fn put_blob_document(
        &mut self,
        descriptor: &Descriptor,
        text: &str,
        mtime: i64,
    ) -> Result<String, OutputError> {
        let member = member(descriptor.digest);
        if self.blobs.insert(descriptor.digest) {
            put_document(self.output, &member, text, mtime)?;
        }
        Ok(member)
    }

    /// Writes what names the image, and the end of the archive.
    fn put_names(
        &mut self,
        entry: Descriptor,
        docker_manifest: Option<&str>,
        mtime: i64,
    ) -> Result<(), OutputError> {
        let output = &mut *self.output;
        let mut index = Index::new(Flavor::Oci);
        self.written = Some(entry.digest);
        index.put(entry, self.name);
        put_document(output, "index.json", &index.to_json(), mtime)?;
        if let Some(manifest) = docker_manifest {
            put_document(output, "manifest.json", manifest, mtime)?;
        }
        put_document(output, LAYOUT_FILE, LAYOUT, mtime)?;
        output.put(tar::trailer(output.position()))?;
        output.finish()
    }
}

impl Sink for OciArchive<'_> {
    fn write(
        &mut self,
        digester: &Digester<'_>,
        observer: &dyn Observer,
    ) -> Result<Transfer, Error> {
        self.write_platforms(slice::from_ref(digester), observer)
    }
}

/// Writes a layer's blob and checks its digest.
pub(crate) fn put_blob(
    blobs: &Blobs<'_>,
    layer: usize,
    output: &mut dyn Writer,
    observer: &dyn Observer,
) -> Result<(), Error> {
    let mut hash = HashWriter::default();
    blobs.read(layer, |chunk| {
        let before = output.position();
        match chunk {
            Chunk::Bytes(bytes) => {
                hash.update(bytes);
                output.put(bytes)?;
            }
            Chunk::File(mut content) => {
                output.put_file_through(&mut content, &mut |bytes| hash.update(bytes))?;
            }
            Chunk::End => {}
        }
        observer.bytes(output.position() - before);
        Ok::<_, Error>(())
    })?;
    Ok(blobs.check(layer, hash.finish())?)
}

fn member(digest: Digest) -> String {
    format!("{BLOBS}/{}", digest.hex())
}

fn put_header(
    output: &mut dyn Writer,
    name: &str,
    typeflag: u8,
    size: u64,
    mtime: i64,
) -> Result<(), OutputError> {
    let mode = if typeflag == tar::DIRECTORY { DIRECTORY_MODE } else { MEMBER_MODE };
    let mut header = Vec::new();
    let name = name.as_bytes();
    tar::encode(&Member { name, typeflag, mode, size, mtime, ..Member::default() }, &mut header);
    output.put(&header)
}
