//! One archive that every engine and tool reads: an OCI layout in a tar file, with the
//! docker-archive's manifest over the same blobs.

use std::collections::HashSet;

use super::Destination;
use super::docker_archive::{MEMBER_MODE, put_document};
use formats::digest::{Digest, HashWriter};
use formats::tar::{self, Member};
use image::engine::{Blobs, Part};
use oci::{Flavor, Index, LAYOUT, LAYOUT_FILE, Reference};

/// Where blobs are, in layouts and in archives.
pub(super) const BLOBS: &str = "blobs/sha256";
const DIRECTORY_MODE: u32 = 0o755;

/// Writes the archive; each layer is hashed on its way.
pub fn write(
    blobs: &Blobs<'_>,
    name: &Reference,
    output: &mut dyn Destination,
) -> anyhow::Result<()> {
    let image = blobs.image();
    let mtime = image.mtime;
    for directory in ["blobs", BLOBS] {
        put_header(output, directory, tar::DIRECTORY, 0, mtime)?;
    }
    let mut written = HashSet::new();
    let mut members = Vec::with_capacity(blobs.all().len());
    for (layer, blob) in blobs.all().iter().enumerate() {
        let member = member(blob.digest);
        if written.insert(blob.digest) {
            put_header(output, &member, tar::REGULAR, blob.size, mtime)?;
            put_blob(blobs, layer, output)?;
            output.put(tar::padding(blob.size))?;
        }
        members.push(member);
    }
    let documents = blobs.documents(Flavor::Oci);
    let config = member(documents.config_descriptor.digest);
    put_document(output, &config, &documents.config, mtime)?;
    put_document(output, &member(documents.descriptor.digest), &documents.manifest, mtime)?;
    let mut index = Index::new(Flavor::Oci);
    index.put(documents.descriptor, name);
    put_document(output, "index.json", &index.to_json(), mtime)?;
    put_document(output, "manifest.json", &image.manifest_json(&config, &members), mtime)?;
    put_document(output, LAYOUT_FILE, LAYOUT, mtime)?;
    output.put(tar::trailer(output.position()))?;
    output.finish()
}

/// Writes a layer's blob, hashes it on the way, and checks what it is.
pub(super) fn put_blob(
    blobs: &Blobs<'_>,
    layer: usize,
    output: &mut dyn Destination,
) -> anyhow::Result<()> {
    let mut hash = HashWriter::default();
    blobs.read(layer, |part| match part {
        Part::Bytes(bytes) => {
            hash.update(bytes);
            output.put(bytes)
        }
        Part::File(mut content) => {
            output.put_file_through(&mut content, &mut |bytes| hash.update(bytes))
        }
    })?;
    blobs.check(layer, hash.finish())
}

fn member(digest: Digest) -> String {
    format!("{BLOBS}/{}", digest.hex())
}

fn put_header(
    output: &mut dyn Destination,
    name: &str,
    typeflag: u8,
    size: u64,
    mtime: i64,
) -> anyhow::Result<()> {
    let mode = if typeflag == tar::DIRECTORY { DIRECTORY_MODE } else { MEMBER_MODE };
    let mut header = Vec::new();
    let name = name.as_bytes();
    tar::encode(&Member { name, typeflag, mode, size, mtime, ..Member::default() }, &mut header);
    output.put(&header)
}
