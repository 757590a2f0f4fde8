//! The docker-archive, as `docker load` reads it and nixpkgs' script writes it: a tar file of the
//! layers' tar files, the configuration and the manifest.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use anyhow::bail;

use super::Destination;
use crate::observer::Observer;
use formats::digest::{BlobId, Digest};
use formats::sha256::Sha256;
use formats::tar::{self, Member};
use image::engine::{Blobs, Engine, Part, Piece, Pieces};
use image::layer::ReadError;
use image::{Image, Layer, LayerSource, Prebuilt};

/// Mode of the members that this program makes itself.
pub(super) const MEMBER_MODE: u32 = 0o644;

/// Writes the archive; with `verify`, hashes each layer again on its way out. A digest that is
/// remembered for other trees than those that are here is checked in any case.
pub fn write(
    engine: &Engine<'_>,
    pieces: &mut Pieces,
    output: &mut dyn Destination,
    observer: &dyn Observer,
    verify: bool,
) -> anyhow::Result<()> {
    let image = engine.image();
    let mut diff_ids = Vec::with_capacity(image.layers.len());
    let mut members = Vec::with_capacity(image.layers.len());
    observer.started(std::slice::from_ref(image));
    for (index, layer) in image.layers.iter().enumerate() {
        observer.layer_started(index, layer, engine.known_size());
        // The reader need not wait for what is there while the digest is being found.
        output.flush()?;
        let digest = engine.digest(index)?;
        let (name, header) = header(layer, &digest, image.mtime)?;
        output.put(&header)?;
        members.push(name);
        put_layer(engine, index, &digest, pieces, output, observer, verify)?;
        diff_ids.push(digest.digest);
        observer.layer_done(index, layer, digest.size);
    }
    observer.documents_started();
    put_documents(output, image, &diff_ids, &members)?;
    observer.finished();
    Ok(())
}

/// Writes the archive without the first layers, for an engine that holds so many.
///
/// Its documents are those of the whole archive: dockerd looks for a layer's member only when
/// it does not hold the layer, and refuses the archive if it does not find it then.
pub fn write_without(
    blobs: &Blobs<'_>,
    held: usize,
    output: &mut dyn Destination,
    observer: &dyn Observer,
) -> anyhow::Result<()> {
    let image = blobs.image();
    let mut members = Vec::with_capacity(image.layers.len());
    for (index, layer) in image.layers.iter().enumerate() {
        let blob = &blobs.all()[index];
        let digest = BlobId { digest: blob.diff_id, size: blob.size };
        let (name, header) = header(layer, &digest, image.mtime)?;
        members.push(name);
        if index < held {
            continue;
        }
        output.put(&header)?;
        let mut before = output.position();
        blobs.read(index, |part| {
            match part {
                Part::Bytes(bytes) => output.put(bytes)?,
                Part::File(mut content) => output.put_file(&mut content)?,
            }
            observer.bytes(output.position() - before);
            before = output.position();
            Ok(())
        })?;
        output.put(tar::padding(blob.size))?;
    }
    let diff_ids: Vec<_> = blobs.all().iter().map(|blob| blob.diff_id).collect();
    put_documents(output, image, &diff_ids, &members)
}

/// Writes the configuration, the manifest and the end.
fn put_documents(
    output: &mut dyn Destination,
    image: &Image,
    diff_ids: &[Digest],
    members: &[String],
) -> anyhow::Result<()> {
    let config = image.config_json(diff_ids);
    let config_name = format!("{}.json", Digest::of(config.as_bytes()).hex());
    put_document(output, &config_name, &config, image.mtime)?;
    let manifest = image.manifest_json(&config_name, members);
    put_document(output, "manifest.json", &manifest, image.mtime)?;
    output.put(tar::trailer(output.position()))?;
    output.finish()
}

/// The name and the header of a layer's member.
fn header(layer: &Layer, digest: &BlobId, mtime: i64) -> anyhow::Result<(String, Vec<u8>)> {
    let name = format!("{}/layer.tar", digest.digest.hex());
    let own = Member {
        name: name.as_bytes(),
        typeflag: tar::REGULAR,
        mode: MEMBER_MODE,
        size: digest.size,
        mtime,
        ..Member::default()
    };
    let mut header = Vec::new();
    match &layer.source {
        LayerSource::Store(_) | LayerSource::Absent(_) => tar::encode(&own, &mut header),
        LayerSource::Prebuilt(prebuilt) => put_prebuilt_header(prebuilt, &own, &mut header)?,
        LayerSource::Base(base) => {
            let member = &base.member;
            let kept = Member {
                name: &member.name,
                typeflag: member.typeflag,
                target: &member.target,
                mode: member.mode,
                uid: member.uid,
                gid: member.gid,
                uname: &member.uname,
                gname: &member.gname,
                size: member.size,
                mtime: member.mtime,
                records: &member.records,
                ..Member::default()
            };
            tar::encode(&kept, &mut header);
            return Ok((String::from_utf8_lossy(&member.name).into(), header));
        }
    }
    Ok((name, header))
}

/// A prebuilt layer's member has the mode and the owner of the file that it comes from.
fn put_prebuilt_header(
    prebuilt: &Prebuilt,
    own: &Member<'_>,
    header: &mut Vec<u8>,
) -> anyhow::Result<()> {
    let stat = fs::metadata(&prebuilt.tar).map_err(|source| ReadError::Io {
        action: "examine",
        path: prebuilt.tar.clone(),
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

/// Writes a layer's bytes, which have to be as many as the header says.
pub(super) fn put_layer(
    engine: &Engine<'_>,
    index: usize,
    expected: &BlobId,
    pieces: &mut Pieces,
    output: &mut dyn Destination,
    observer: &dyn Observer,
    verify: bool,
) -> anyhow::Result<()> {
    let start = output.position();
    let mut before = start;
    let unchecked = engine.unchecked(index);
    let mut hash = (verify || unchecked).then(Sha256::new);
    loop {
        match pieces.next().transpose()? {
            Some(Piece::Bytes(bytes)) => {
                output.put(&bytes)?;
                if let Some(hash) = &mut hash {
                    hash.update(&bytes);
                }
                pieces.recycle(bytes);
            }
            Some(Piece::File(mut content)) => match &mut hash {
                None => output.put_file(&mut content)?,
                Some(hash) => {
                    output.put_file_through(&mut content, &mut |bytes| hash.update(bytes))?;
                }
            },
            Some(Piece::End) => break,
            None => bail!("reading the layers ended early"),
        }
        observer.bytes(output.position() - before);
        before = output.position();
    }
    let size = output.position() - start;
    let found = hash.map(|hash| Digest(hash.finish()));
    if size != expected.size || found.is_some_and(|found| found != expected.digest) {
        return Err(engine.mismatch(index, expected, size, found));
    }
    if unchecked {
        engine.found(index, *expected)?;
    }
    output.put(tar::padding(size))
}

/// Writes a document as a member.
pub(super) fn put_document(
    output: &mut dyn Destination,
    name: &str,
    text: &str,
    mtime: i64,
) -> anyhow::Result<()> {
    let mut header = Vec::new();
    let member = Member {
        name: name.as_bytes(),
        typeflag: tar::REGULAR,
        mode: MEMBER_MODE,
        size: text.len() as u64,
        mtime,
        ..Member::default()
    };
    tar::encode(&member, &mut header);
    output.put(&header)?;
    output.put(text.as_bytes())?;
    output.put(tar::padding(text.len() as u64))
}
