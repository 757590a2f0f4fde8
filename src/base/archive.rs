//! The members of a base image's archive.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;

use tar::{Archive, Entries, Entry};

use super::ArchiveMember;
use super::compression::Compression;
use super::reader::Decompressed;
use crate::tar::Record;

/// The largest document, such as a manifest, that is read into memory.
const MAX_DOCUMENT: u64 = 16 << 20;
/// Smaller JSON members are kept while the archive is scanned, so that a compressed one need not
/// be decompressed again for them.
const SMALL_DOCUMENT: u64 = 1 << 20;
/// Bytes of them kept in all.
const MAX_KEPT: usize = 16 << 20;
/// Members of an archive; an image has some hundreds at most.
const MAX_MEMBERS: usize = 100_000;

/// All members of an archive, in its order.
#[derive(Debug, Default)]
pub(super) struct Index {
    members: Vec<ArchiveMember>,
    /// Contents of small JSON members, by their offset.
    documents: HashMap<u64, Vec<u8>>,
    kept: usize,
}

impl Index {
    pub(super) fn read(path: &Path, compression: Compression) -> io::Result<Self> {
        let mut index = Self::default();
        if compression == Compression::None {
            index.add_all(Archive::new(File::open(path)?).entries_with_seek()?)?;
        } else {
            index.add_all(Archive::new(compression.open(path)?).entries()?)?;
        }
        Ok(index)
    }

    /// The member of that name; where there are several, the last one holds.
    pub(super) fn find(&self, name: &[u8]) -> Option<&ArchiveMember> {
        self.members.iter().rev().find(|member| member.name == name)
    }

    pub(super) fn content(
        &self,
        member: &ArchiveMember,
        path: &Path,
        compression: Compression,
    ) -> io::Result<Vec<u8>> {
        if let Some(content) = self.documents.get(&member.offset) {
            return Ok(content.clone());
        }
        if member.size > MAX_DOCUMENT {
            let name = String::from_utf8_lossy(&member.name);
            return Err(io::Error::other(format!(
                "`{name}` has {} bytes, a document has {MAX_DOCUMENT} at most",
                member.size
            )));
        }
        let mut content = Vec::new();
        let archive = Decompressed::open_at(path, compression, member.offset)?;
        archive.take(member.size).read_to_end(&mut content)?;
        Ok(content)
    }

    fn add_all<R: Read>(&mut self, entries: Entries<'_, R>) -> io::Result<()> {
        for entry in entries {
            let mut entry = entry?;
            if self.members.len() == MAX_MEMBERS {
                return Err(io::Error::other(format!("it has more than {MAX_MEMBERS} members")));
            }
            let mut member = member(&mut entry)?;
            let mut start = Vec::new();
            entry.by_ref().take(6).read_to_end(&mut start)?;
            member.compression = Compression::of(&start);
            self.keep_document(&member, start, &mut entry)?;
            self.members.push(member);
        }
        Ok(())
    }

    fn keep_document(
        &mut self,
        member: &ArchiveMember,
        mut document: Vec<u8>,
        content: &mut impl Read,
    ) -> io::Result<()> {
        if member.size > SMALL_DOCUMENT || self.kept + member.size as usize > MAX_KEPT {
            return Ok(());
        }
        if document.starts_with(b"{") || document.starts_with(b"[") {
            content.read_to_end(&mut document)?;
            self.kept += document.len();
            self.documents.insert(member.offset, document);
        }
        Ok(())
    }
}

/// The member's header with its records applied, as Python's `tarfile` reads it.
fn member<R: Read>(entry: &mut Entry<'_, R>) -> io::Result<ArchiveMember> {
    let records = records(entry)?;
    let value = |keyword: &[u8]| {
        records.iter().find(|(known, _)| known == keyword).map(|(_, value)| value.as_slice())
    };
    // What is no number counts as 0.
    let integer = |keyword, field: u64| match value(keyword) {
        Some(text) => str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or(0),
        None => field.cast_signed(),
    };
    let header = entry.header();
    // As by Python, an empty field counts as 0, and one that is no number is an error.
    let field = |place: Range<usize>, number: io::Result<_>| {
        let empty = header.as_bytes()[place].iter().all(|byte| matches!(byte, 0 | b' '));
        if empty { Ok(0) } else { number }
    };
    let name =
        |keyword, field: Option<&[u8]>| value(keyword).or(field).unwrap_or_default().to_owned();
    let mtime = match value(b"mtime") {
        Some(text) => {
            let seconds = str::from_utf8(text).ok().and_then(|text| text.parse::<f64>().ok());
            seconds.map_or(0, |seconds| seconds.round_ties_even() as i64)
        }
        None => field(136..148, header.mtime())?.cast_signed(),
    };
    let path = entry.path_bytes();
    let end = path.iter().rposition(|&byte| byte != b'/').map_or(0, |last| last + 1);
    Ok(ArchiveMember {
        name: path[..end].to_owned(),
        typeflag: header.as_bytes()[156],
        mode: field(100..108, header.mode().map(u64::from))? as u32,
        uid: integer(b"uid", field(108..116, header.uid())?),
        gid: integer(b"gid", field(116..124, header.gid())?),
        uname: name(b"uname", header.username_bytes()),
        gname: name(b"gname", header.groupname_bytes()),
        mtime,
        size: entry.size(),
        offset: entry.raw_file_position(),
        compression: Compression::None,
        records,
    })
}

/// The extended header's records; of a keyword's values the last one holds, at the first place.
fn records<R: Read>(entry: &mut Entry<'_, R>) -> io::Result<Vec<Record>> {
    let mut records: Vec<Record> = Vec::new();
    for record in entry.pax_extensions()?.into_iter().flatten() {
        let record = record?;
        let (keyword, value) = (record.key_bytes(), record.value_bytes().to_owned());
        match records.iter_mut().find(|(known, _)| known == keyword) {
            Some((_, known)) => *known = value,
            None => records.push((keyword.to_owned(), value)),
        }
    }
    Ok(records)
}
