//! The docker-archive, as `docker load` reads it and nixpkgs' script writes it: a tar file with the
//! layers' tar files, the config and the manifest.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::slice;

use super::{MEMBER_MODE, put_document};
use crate::error::OutputError;
use crate::output::Writer;
use crate::{Error, Observer, Sink, Transfer};
use formats::digest::{BlobId, Digest, HashWriter};
use formats::tar::{self, Member};
use image::base::BaseLayer;
use image::{Chunk, Chunks, Digester, Image, Layer, ReadError, read_ahead};

/// Writes a docker-archive, the format of `docker save` and `docker load`, byte for byte as
/// nixpkgs' script does.
#[derive(Debug)]
pub struct DockerArchive<'a> {
    output: &'a mut dyn Writer,
    verify: bool,
    held: usize,
}

impl<'a> DockerArchive<'a> {
    /// An archive of a whole image, written to `output`.
    pub fn new(output: &'a mut dyn Writer) -> Self {
        Self { output, verify: false, held: 0 }
    }

    /// Whether to hash each layer again while it is written, and to fail if its digest is not the
    /// one found before. Off by default, except for digests that the cache has from other copies of
    /// the same store paths, which are always checked.
    #[must_use]
    pub fn verify(self, verify: bool) -> Self {
        Self { verify, ..self }
    }

    /// Leaves out the `held` lowest layers, because the reader has them. None are left out by
    /// default.
    ///
    /// The config and the manifest are still those of the whole image. dockerd only looks for a
    /// layer in the archive if it does not have it, and refuses the archive if the layer is not
    /// there either.
    #[must_use]
    pub fn without(self, held: usize) -> Self {
        Self { held, ..self }
    }
}

impl Sink for DockerArchive<'_> {
    fn write(
        &mut self,
        digester: &Digester<'_>,
        observer: &dyn Observer,
    ) -> Result<Transfer, Error> {
        observer.started(slice::from_ref(digester.image()));
        let transfer = self.write_part(digester, observer)?;
        observer.finished();
        Ok(transfer)
    }
}

impl DockerArchive<'_> {
    /// Writes the archive as one step of a delivery.
    pub(crate) fn write_part(
        &mut self,
        digester: &Digester<'_>,
        observer: &dyn Observer,
    ) -> Result<Transfer, Error> {
        let held = self.held;
        read_ahead(digester, held, self.verify, |chunks| {
            let layers = digester.image().layers().len();
            let mut writing = Writing {
                digester,
                observer,
                output: &mut *self.output,
                verify: self.verify,
                diff_ids: Vec::with_capacity(layers),
                members: Vec::with_capacity(layers),
                transfer: Transfer { layers, ..Transfer::default() },
                held_bytes: 0,
            };
            writing.run(chunks, held)?;
            Ok(writing.transfer)
        })
    }
}

/// An archive being written.
struct Writing<'a> {
    digester: &'a Digester<'a>,
    observer: &'a dyn Observer,
    output: &'a mut dyn Writer,
    verify: bool,
    diff_ids: Vec<Digest>,
    members: Vec<String>,
    transfer: Transfer,
    /// The size of the layers that are left out.
    held_bytes: u64,
}

impl Writing<'_> {
    fn run(&mut self, mut chunks: Chunks, held: usize) -> Result<(), Error> {
        let image = self.digester.image();
        for (index, layer) in image.layers().iter().enumerate() {
            if index >= held {
                self.observer.layer_started(index, layer);
                self.say_size();
                // The reader can process what it has while the digest is computed.
                self.output.flush()?;
            }
            let digest = self.digester.digest(index)?;
            let (name, header) = header(layer, digest, layer.mtime(image.mtime()))?;
            self.members.push(name);
            self.diff_ids.push(digest.digest);
            self.transfer.bytes += digest.size;
            if index < held {
                self.held_bytes += digest.size;
                self.observer.layer_found(index);
                continue;
            }
            self.say_size();
            self.output.put(&header)?;
            self.put_layer(index, digest, &mut chunks)?;
            self.transfer.layers_sent += 1;
            self.transfer.bytes_sent += digest.size;
            self.observer.layer_done(index, layer, digest.size);
        }
        self.observer.documents_started();
        Ok(self.put_documents(image)?)
    }

    /// Reports how many bytes will be written, as far as that is known.
    fn say_size(&self) {
        let is_final = self.digester.sizes_are_known();
        let bytes = self.digester.known_size().saturating_sub(self.held_bytes);
        self.observer.size_known(bytes, is_final);
    }

    /// Writes a layer's bytes, whose number must match the header.
    fn put_layer(
        &mut self,
        index: usize,
        expected: BlobId,
        chunks: &mut Chunks,
    ) -> Result<(), Error> {
        let unchecked = self.digester.unchecked(index);
        // Layers of the base image are checked where they are read, as they may be compressed
        // there.
        let is_base = self.digester.image().layers()[index].as_base().is_some();
        let mut hash = (self.verify && !is_base || unchecked).then(HashWriter::default);
        let mut size = 0;
        loop {
            let before = self.output.position();
            match chunks.next().unwrap_or(Err(image::Error::EndedEarly))? {
                Chunk::Bytes(bytes) => {
                    self.output.put(&bytes)?;
                    if let Some(hash) = &mut hash {
                        hash.update(&bytes);
                    }
                    chunks.recycle(bytes);
                }
                Chunk::File(mut content) => match &mut hash {
                    None => self.output.put_file(&mut content)?,
                    Some(hash) => {
                        self.output.put_file_through(&mut content, &mut |b| hash.update(b))?;
                    }
                },
                Chunk::End => break,
            }
            let written = self.output.position() - before;
            size += written;
            self.observer.bytes(written);
        }
        let found = hash.map(HashWriter::finish);
        if size != expected.size || found.is_some_and(|found| found != expected.digest) {
            return Err(self.digester.mismatch(index, expected, size, found).into());
        }
        if unchecked {
            self.digester.found(index, expected)?;
        }
        Ok(self.output.put(tar::padding(size))?)
    }

    /// Writes the config, the manifest and the end of the archive.
    fn put_documents(&mut self, image: &Image) -> Result<(), OutputError> {
        let config = image.config_json(&self.diff_ids);
        let config_name = format!("{}.json", Digest::of(config.as_bytes()).hex());
        put_document(self.output, &config_name, &config, image.mtime())?;
        let manifest = image.manifest_json(&config_name, &self.members);
        put_document(self.output, "manifest.json", &manifest, image.mtime())?;
        self.output.put(tar::trailer(self.output.position()))?;
        self.output.finish()
    }
}

/// The name and the header of a layer's member.
fn header(layer: &Layer, digest: BlobId, mtime: i64) -> Result<(String, Vec<u8>), ReadError> {
    let mut header = Vec::new();
    if let Some(base) = layer.as_base() {
        tar::encode(&kept_member(base, digest.size), &mut header);
        return Ok((base.name().into_owned(), header));
    }
    let name = format!("{}/layer.tar", digest.digest.hex());
    let own = Member {
        name: name.as_bytes(),
        typeflag: tar::REGULAR,
        mode: MEMBER_MODE,
        size: digest.size,
        mtime,
        ..Member::default()
    };
    match layer.finished_tar() {
        Some(path) => put_finished_header(path, &own, &mut header)?,
        None => tar::encode(&own, &mut header),
    }
    Ok((name, header))
}

/// The member of a base image's layer: the same as in the base's archive, except for the size if
/// the layer is decompressed.
fn kept_member(base: &BaseLayer, size: u64) -> Member<'_> {
    let member = &base.member;
    Member {
        name: &member.name,
        typeflag: member.typeflag,
        target: &member.target,
        mode: member.mode,
        uid: member.uid,
        gid: member.gid,
        uname: &member.uname,
        gname: &member.gname,
        size,
        mtime: member.mtime,
        records: &member.records,
        ..Member::default()
    }
}

/// Writes the header of a finished layer, with the mode and the owner of the file it is read from.
fn put_finished_header(
    path: &Path,
    own: &Member<'_>,
    header: &mut Vec<u8>,
) -> Result<(), ReadError> {
    let stat = fs::metadata(path).map_err(|source| ReadError::Io {
        action: "examine",
        path: path.to_owned(),
        source,
    })?;
    let uname = uzers::get_user_by_uid(stat.uid()).map(|user| user.name().to_owned());
    let gname = uzers::get_group_by_gid(stat.gid()).map(|group| group.name().to_owned());
    let member = Member {
        mode: stat.mode(),
        uid: stat.uid().into(),
        gid: stat.gid().into(),
        uname: uname.as_ref().map_or(b"", |name| name.as_encoded_bytes()),
        gname: gname.as_ref().map_or(b"", |name| name.as_encoded_bytes()),
        ..own.clone()
    };
    tar::encode(&member, header);
    Ok(())
}
