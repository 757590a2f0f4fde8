//! Layers that have to be unpacked from their tar files.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};
use std::io::{self, Read};

use tar::{Archive, EntryType, Header};

use super::LinkError;
use super::layer::{Made, Place};
use crate::trees::{Content, Entry, Time, TreeWriter, Xattr};
use containers_storage::Facts;
use formats::digest::{BlobId, Digest};
use formats::sha256::Sha256;
use image::cache::{TarSplit, TarSplitWriter};
use image::layer::LayerReader;

/// How many bytes are read at a time.
const CHUNK: usize = 256 << 10;
/// The prefix of the records of extended attributes.
const XATTR: &[u8] = b"SCHILY.xattr.";

/// Unpacks a layer's tar file into a directory, and checks the layer's digest.
pub(super) fn put(
    place: &Place<'_>,
    layer: usize,
    reader: LayerReader<'_>,
    mut writer: TreeWriter<'_>,
) -> Result<Made, LinkError> {
    let tar_split = place.tar_splits.then(TarSplitWriter::temporary).transpose();
    let mut bytes = Bytes::new(reader, tar_split.map_err(LinkError::TarSplit)?);
    let (mut uids, mut gids, mut root_mode) = (BTreeSet::new(), BTreeSet::new(), None);
    let mut names = HashSet::new();
    let mut archive = Archive::new(&mut bytes);
    for member in archive.entries().map_err(LinkError::Archive)? {
        let mut member = member.map_err(LinkError::Archive)?;
        if place.tar_splits && !names.insert(clean(&member.path_bytes()).to_vec()) {
            return Err(LinkError::Repeated(shown(&member.path_bytes())));
        }
        let header = member.header().clone();
        let (uid, gid) = owner(&header)?;
        uids.insert(uid);
        gids.insert(gid);
        if relative(&member.path_bytes()).is_empty() {
            root_mode = header.mode().ok().map(|mode| mode & 0o7777);
        }
        put_member(&mut member, uid, gid, &mut writer)?;
    }
    let (found, size, tar_split) = bytes.finish()?;
    let blob = &place.blobs.all()[layer];
    if found != blob.diff_id {
        let expected = BlobId { digest: blob.diff_id, size: blob.size };
        let error = place.blobs.digester().mismatch(layer, expected, size, Some(found));
        return Err(error.into());
    }
    let facts = Facts { size, uids, gids };
    Ok(Made { counts: writer.finish()?, facts, root_mode, tar_split })
}

/// A member's user and group.
fn owner(header: &Header) -> Result<(u32, u32), LinkError> {
    let id = |id: io::Result<u64>| {
        let id = id.map_err(LinkError::Archive)?;
        u32::try_from(id).map_err(|_| LinkError::Owner(id.into()))
    };
    Ok((id(header.uid())?, id(header.gid())?))
}

/// Unpacks one member.
fn put_member(
    member: &mut tar::Entry<'_, &mut Bytes<'_>>,
    uid: u32,
    gid: u32,
    writer: &mut TreeWriter<'_>,
) -> Result<(), LinkError> {
    let header = member.header();
    let mode = header.mode().map_err(LinkError::Archive)?;
    let device = (header.device_major(), header.device_minor());
    let mut mtime =
        Time { seconds: header.mtime().map_err(LinkError::Archive)?.cast_signed(), nanoseconds: 0 };
    let kind = header.entry_type();
    let mut xattrs = Vec::new();
    for record in member.pax_extensions().map_err(LinkError::Archive)?.into_iter().flatten() {
        let record = record.map_err(LinkError::Archive)?;
        match record.key_bytes() {
            b"mtime" => mtime = time(record.value_bytes()).ok_or(LinkError::Time)?,
            key => {
                if let Some(name) = key.strip_prefix(XATTR) {
                    xattrs.push((name.to_vec(), record.value_bytes().to_vec()));
                }
            }
        }
    }
    let path = member.path_bytes().into_owned();
    let target = member.link_name_bytes().map(Cow::into_owned).unwrap_or_default();
    let size = member.size();
    let device = || match device {
        (Ok(major), Ok(minor)) => Ok((major.unwrap_or_default(), minor.unwrap_or_default())),
        (Err(error), _) | (_, Err(error)) => Err(LinkError::Archive(error)),
    };
    let content = match kind {
        EntryType::Directory => Content::Directory,
        EntryType::Symlink => Content::Symlink(&target),
        EntryType::Link => Content::HardLink(relative(&target)),
        EntryType::Fifo => Content::Fifo,
        EntryType::Char => device().map(|(major, minor)| Content::Character(major, minor))?,
        EntryType::Block => device().map(|(major, minor)| Content::Block(major, minor))?,
        // The oldest tars mark directories only by their names.
        EntryType::Regular if path.ends_with(b"/") => Content::Directory,
        EntryType::Regular | EntryType::Continuous => Content::Bytes { from: member, size },
        _ => return Err(LinkError::Member(shown(&path))),
    };
    let xattrs: Vec<_> = xattrs.iter().map(|(name, value)| Xattr { name, value }).collect();
    let path = relative(&path);
    writer.write(&Entry { path, uid, gid, mode, mtime, xattrs: &xattrs }, content)?;
    Ok(())
}

/// A path for an error message.
fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

/// A path in the form in which tar-split compares it: a layer may not have a name twice.
fn clean(mut path: &[u8]) -> &[u8] {
    while let Some(rest) = path.strip_prefix(b"./") {
        path = rest;
    }
    while let Some(rest) = path.strip_suffix(b"/") {
        path = rest;
    }
    path
}

/// A path relative to the image's root.
fn relative(mut path: &[u8]) -> &[u8] {
    while let Some(rest) = path.strip_prefix(b"/") {
        path = rest;
    }
    path
}

/// Parses the time in a record: seconds since 1970, with an optional fraction.
fn time(value: &[u8]) -> Option<Time> {
    let value = str::from_utf8(value).ok()?;
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    let seconds: i64 = whole.parse().ok()?;
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let nanoseconds: u32 = digits.parse().ok()?;
    if nanoseconds > 0 && whole.starts_with('-') {
        let nanoseconds = 1_000_000_000 - nanoseconds;
        return Some(Time { seconds: seconds.checked_sub(1)?, nanoseconds });
    }
    Some(Time { seconds, nanoseconds })
}

/// A layer's bytes, which are hashed and added to the tar-split while they are read.
struct Bytes<'a> {
    reader: LayerReader<'a>,
    buffer: Vec<u8>,
    /// How much of the buffer has been consumed.
    start: usize,
    hash: Sha256,
    tar_split: Option<TarSplitWriter>,
}

impl<'a> Bytes<'a> {
    fn new(reader: LayerReader<'a>, tar_split: Option<TarSplitWriter>) -> Self {
        Self { reader, buffer: Vec::new(), start: 0, hash: Sha256::new(), tar_split }
    }

    /// Reads the next bytes; returns whether there were any.
    fn refill(&mut self) -> io::Result<bool> {
        self.buffer.clear();
        self.start = 0;
        self.reader.fill(&mut self.buffer, CHUNK).map_err(io::Error::other)?;
        self.hash.update(&self.buffer);
        if let Some(tar_split) = &mut self.tar_split {
            tar_split.update(&self.buffer)?;
        }
        Ok(!self.buffer.is_empty())
    }

    /// Reads what follows the last member; returns the digest and size of the whole layer, and its
    /// tar-split.
    fn finish(mut self) -> Result<(Digest, u64, Option<TarSplit>), LinkError> {
        while self.refill().map_err(LinkError::Archive)? {}
        let tar_split = self.tar_split.map(TarSplitWriter::finish).transpose();
        let size = self.hash.len();
        Ok((Digest(self.hash.finish()), size, tar_split.map_err(LinkError::TarSplit)?))
    }
}

impl Read for Bytes<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.start == self.buffer.len() && !self.refill()? {
            return Ok(0);
        }
        let bytes = out.len().min(self.buffer.len() - self.start);
        out[..bytes].copy_from_slice(&self.buffer[self.start..][..bytes]);
        self.start += bytes;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_may_have_fractions_and_signs() {
        for (text, expected) in [
            ("1", Some((1, 0))),
            ("1.5", Some((1, 500_000_000))),
            ("1.0000000019", Some((1, 1))),
            ("-1", Some((-1, 0))),
            ("-0.5", Some((-1, 500_000_000))),
            ("-1.25", Some((-2, 750_000_000))),
            ("", None),
            ("x", None),
            ("1.x", None),
        ] {
            let expected = expected.map(|(seconds, nanoseconds)| Time { seconds, nanoseconds });
            assert_eq!(time(text.as_bytes()), expected, "{text}");
        }
    }
}
