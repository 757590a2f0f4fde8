//! One archive that every engine and tool reads: an OCI layout in a tar file, with the
//! docker-archive's manifest over the same blobs.

use std::collections::HashSet;
use std::slice;

use super::{MEMBER_MODE, put_document};
use crate::error::OutputError;
use crate::output::Writer;
use crate::{Error, Observer, Sink, Step, Transfer};
use formats::digest::{Digest, HashWriter};
use formats::tar::{self, Member};
use image::{Blobs, Chunk, Digester};
use oci::{Flavor, Index, LAYOUT, LAYOUT_FILE, Reference};

/// Where blobs are, in layouts and in archives.
pub(crate) const BLOBS: &str = "blobs/sha256";
const DIRECTORY_MODE: u32 = 0o755;

/// Writes an OCI archive: an OCI layout in one tar file, which `docker load` reads as well.
///
/// Layers are not compressed, except those that a base image has compressed. Each is hashed again
/// while it is written, and must have the digest that was found before.
#[derive(Debug)]
pub struct OciArchive<'a> {
    output: &'a mut dyn Writer,
    name: &'a Reference,
    written: Option<Digest>,
}

impl<'a> OciArchive<'a> {
    /// An archive written to `output`, in which the image has this name.
    pub fn new(output: &'a mut dyn Writer, name: &'a Reference) -> Self {
        Self { output, name, written: None }
    }

    /// The digest of the manifest that was written, or `None` if none was.
    pub fn digest(&self) -> Option<Digest> {
        self.written
    }

    /// Writes each blob once; returns the names of all layers' members, and how much was written.
    fn put_layers(
        &mut self,
        blobs: &Blobs<'_>,
        observer: &dyn Observer,
    ) -> Result<(Vec<String>, Transfer), Error> {
        let mut transfer = Transfer::none(blobs.all().len(), blobs.size());
        let mut written = HashSet::new();
        let mut members = Vec::with_capacity(blobs.all().len());
        for (index, (blob, layer)) in blobs.all().iter().zip(blobs.image().layers()).enumerate() {
            let member = member(blob.digest);
            if written.insert(blob.digest) {
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

    fn put_documents(&mut self, blobs: &Blobs<'_>, layers: &[String]) -> Result<(), OutputError> {
        let (output, mtime) = (&mut *self.output, blobs.image().mtime());
        let documents = blobs.documents(Flavor::Oci);
        let config = member(documents.config_descriptor.digest);
        put_document(output, &config, &documents.config, mtime)?;
        put_document(output, &member(documents.descriptor.digest), &documents.manifest, mtime)?;
        let mut index = Index::new(Flavor::Oci);
        self.written = Some(documents.descriptor.digest);
        index.put(documents.descriptor, self.name);
        put_document(output, "index.json", &index.to_json(), mtime)?;
        let manifest = blobs.image().manifest_json(&config, layers);
        put_document(output, "manifest.json", &manifest, mtime)?;
        put_document(output, LAYOUT_FILE, LAYOUT, mtime)
    }
}

impl Sink for OciArchive<'_> {
    fn write(
        &mut self,
        digester: &Digester<'_>,
        observer: &dyn Observer,
    ) -> Result<Transfer, Error> {
        observer.step(Step::Reading, None);
        let blobs = Blobs::find(digester)?;
        observer.started(slice::from_ref(blobs.image()));
        observer.step(Step::Sending, Some(blobs.size()));
        for directory in ["blobs", BLOBS] {
            put_header(self.output, directory, tar::DIRECTORY, 0, blobs.image().mtime())?;
        }
        let (members, transfer) = self.put_layers(&blobs, observer)?;
        observer.documents_started();
        self.put_documents(&blobs, &members)?;
        self.output.put(tar::trailer(self.output.position()))?;
        self.output.finish()?;
        observer.finished();
        Ok(transfer)
    }
}

/// Writes a layer's blob, hashes it on the way, and checks what it is.
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
