//! An OCI archive of the blobs that a registry has, for readers that only want the image once and
//! not its files.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufWriter, Read, Write};

use super::blob::{Hashed, PIECE};
use super::{PullError, Source};
use crate::{Observer, Step};
use formats::digest::{Digest, HashWriter};
use formats::tar::{self, Member};
use oci::{Descriptor, Index, LAYOUT, LAYOUT_FILE};

/// The directory of the blobs in a layout.
const BLOBS: &str = "blobs/sha256";
const MODE: u32 = 0o444;

/// Writes an OCI archive of an image with its blobs as they are; the digest of each is checked.
/// Layers whose diffIDs are in `without` are left out.
///
/// # Errors
///
/// If a blob cannot be fetched or does not match the manifest, or if the file cannot be written.
pub fn write_oci_archive(
    source: &Source,
    without: &[Digest],
    file: &File,
    observer: &dyn Observer,
) -> Result<(), PullError> {
    let layers = source.manifest.layers.iter().zip(&source.diff_ids).enumerate();
    let layers = layers.filter(|(_, (_, diff_id))| !without.contains(diff_id));
    let layers: Vec<_> = layers.map(|(index, (layer, _))| (index, layer)).collect();
    let size = layers.iter().map(|(_, layer)| layer.size).fold(0, u64::saturating_add);
    observer.step(Step::Fetching, Some(size));
    let mut archive = Archive { file: BufWriter::new(file), size: 0 };
    let mut written = HashSet::new();
    for (index, layer) in layers {
        if written.insert(layer.digest) {
            let put = archive.put_layer(source, layer, observer);
            put.map_err(|error| PullError::Layer {
                number: index + 1,
                digest: layer.digest,
                source: error.into(),
            })?;
        }
    }
    archive.put_documents(source).map_err(PullError::Writing)
}

struct Archive<'a> {
    file: BufWriter<&'a File>,
    size: u64,
}

impl Archive<'_> {
    fn put_layer(
        &mut self,
        source: &Source,
        layer: &Descriptor,
        observer: &dyn Observer,
    ) -> Result<(), PullError> {
        let blob = source.repository.download(layer.digest, layer.size)?;
        let mut blob = Hashed { blob, hash: HashWriter::default(), observer };
        self.put_header(&member(layer.digest), layer.size).map_err(PullError::Writing)?;
        let mut piece = vec![0; PIECE];
        loop {
            match blob.read(&mut piece).map_err(PullError::reading)? {
                0 => break,
                read => self.put(&piece[..read]).map_err(PullError::Writing)?,
            }
        }
        blob.check(layer.digest)?;
        self.put(tar::padding(layer.size)).map_err(PullError::Writing)
    }

    fn put_documents(&mut self, source: &Source) -> std::io::Result<()> {
        let manifest = &source.manifest;
        let (digest, size) = (source.manifest_digest(), source.manifest_bytes.len() as u64);
        let descriptor = Descriptor::new(manifest.flavor.manifest(), digest, size);
        let mut index = Index::new(manifest.flavor);
        index.put(descriptor, &source.reference);
        self.put_document(&member(manifest.config.digest), &source.config)?;
        self.put_document(&member(digest), &source.manifest_bytes)?;
        self.put_document("index.json", index.to_json().as_bytes())?;
        self.put_document(LAYOUT_FILE, LAYOUT.as_bytes())?;
        self.put(tar::trailer(self.size))?;
        self.file.flush()
    }

    fn put_document(&mut self, name: &str, document: &[u8]) -> std::io::Result<()> {
        let size = document.len() as u64;
        self.put_header(name, size)?;
        self.put(document)?;
        self.put(tar::padding(size))
    }

    fn put_header(&mut self, name: &str, size: u64) -> std::io::Result<()> {
        let name = name.as_bytes();
        let member = Member { name, typeflag: tar::REGULAR, mode: MODE, size, ..Member::default() };
        let mut header = Vec::new();
        tar::encode(&member, &mut header);
        self.put(&header)
    }

    fn put(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.size += bytes.len() as u64;
        self.file.write_all(bytes)
    }
}

fn member(digest: Digest) -> String {
    format!("{BLOBS}/{}", digest.hex())
}
