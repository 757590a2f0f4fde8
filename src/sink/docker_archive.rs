//! The docker-archive, as `docker load` reads it and nixpkgs' script writes it: a tar file of the
//! layers' tar files, the configuration and the manifest.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use anyhow::bail;

use super::Output;
use crate::cache::LayerDigest;
use crate::digest::Digest;
use crate::engine::{Engine, Piece, Pieces};
use crate::image::{Layer, LayerSource, Prebuilt};
use crate::layer::ReadError;
use crate::progress::Progress;
use crate::sha256::Sha256;
use crate::tar::{self, Member};

/// Mode of the members that this program makes itself.
const MEMBER_MODE: u32 = 0o644;

/// Writes the archive; with `verify`, hashes each layer again on its way out.
pub fn write(
    engine: &Engine<'_>,
    pieces: &mut Pieces,
    output: &mut Output,
    progress: &Progress,
    verify: bool,
) -> anyhow::Result<()> {
    let image = engine.image();
    let mut diff_ids = Vec::with_capacity(image.layers.len());
    let mut members = Vec::with_capacity(image.layers.len());
    progress.start(image);
    for (index, layer) in image.layers.iter().enumerate() {
        progress.layer(index, layer, engine);
        let digest = engine.digest(index)?;
        members.push(put_header(output, layer, &digest, image.mtime)?);
        put_layer(engine, index, &digest, pieces, output, progress, verify)?;
        diff_ids.push(digest.digest);
        progress.layer_done(index, layer);
    }
    progress.documents();
    let config = image.config_json(&diff_ids);
    let config_name = format!("{}.json", Digest::of(config.as_bytes()));
    put_document(output, &config_name, &config, image.mtime)?;
    let manifest = image.manifest_json(&config_name, &members);
    put_document(output, "manifest.json", &manifest, image.mtime)?;
    output.put(tar::trailer(output.position()))?;
    output.flush()?;
    progress.done();
    Ok(())
}

/// Writes the header of a layer's member and returns the member's name.
fn put_header(
    output: &mut Output,
    layer: &Layer,
    digest: &LayerDigest,
    mtime: i64,
) -> anyhow::Result<String> {
    let name = format!("{}/layer.tar", digest.digest);
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
            output.put(&header)?;
            return Ok(String::from_utf8_lossy(&member.name).into());
        }
    }
    output.put(&header)?;
    Ok(name)
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
fn put_layer(
    engine: &Engine<'_>,
    index: usize,
    expected: &LayerDigest,
    pieces: &mut Pieces,
    output: &mut Output,
    progress: &Progress,
    verify: bool,
) -> anyhow::Result<()> {
    let start = output.position();
    let mut hash = verify.then(Sha256::new);
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
                Some(hash) => output.put_file_through(&mut content, |bytes| hash.update(bytes))?,
            },
            Some(Piece::End) => break,
            None => bail!("reading the layers ended early"),
        }
        progress.written(output.position());
    }
    let size = output.position() - start;
    let found = hash.map(|hash| Digest(hash.finish()));
    if size != expected.size || found.is_some_and(|found| found != expected.digest) {
        engine.forget(index);
        bail!(
            "layer {} changed while it was being written: {} and {} bytes expected, {}{size} \
             bytes found; run the command again",
            index + 1,
            expected.digest,
            expected.size,
            found.map(|found| format!("{found} and ")).unwrap_or_default(),
        );
    }
    output.put(tar::padding(size))
}

fn put_document(output: &mut Output, name: &str, text: &str, mtime: i64) -> anyhow::Result<()> {
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
