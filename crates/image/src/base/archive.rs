//! The members of a base image's archive.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use super::ArchiveMember;
use super::codec::Codec;
use super::members::Members;
use super::stream::Decompressed;

/// The largest document, such as a manifest, that is read into memory; other tools take no larger
/// ones either.
const MAX_DOCUMENT: u64 = 4 << 20;
/// Smaller JSON members are kept while the archive is scanned, so that a compressed one need not
/// be decompressed again for them.
const SMALL_DOCUMENT: u64 = 1 << 20;
/// Bytes of them kept in all.
const MAX_KEPT: usize = 4 << 20;
/// Members of an archive; an image has some hundreds at most.
const MAX_MEMBERS: usize = 100_000;

/// All members of an archive.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// By their names, and those of one name in the archive's order.
    members: Vec<Arc<ArchiveMember>>,
    /// Contents of small JSON members, by their offset.
    documents: HashMap<u64, Vec<u8>>,
    kept: usize,
}

impl Index {
    pub(super) fn read(path: &Path, codec: Codec) -> io::Result<Self> {
        let mut index = Self::default();
        let mut members = Members::new(Decompressed::open_at(path, codec, 0)?);
        while let Some(mut member) = members.next()? {
            if index.members.len() == MAX_MEMBERS {
                return Err(io::Error::other(format!("it has more than {MAX_MEMBERS} members")));
            }
            if member.is_file() {
                let mut content = members.content(member.size);
                let mut start = Vec::new();
                content.by_ref().take(6).read_to_end(&mut start)?;
                member.codec = Codec::of(&start);
                index.keep_document(&member, start, &mut content)?;
            }
            index.members.push(Arc::new(member));
        }
        index.members.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(index)
    }

    /// The member of that name; where there are several, the last one holds.
    pub(super) fn find(&self, name: &[u8]) -> Option<&Arc<ArchiveMember>> {
        let end = self.members.partition_point(|member| member.name.as_slice() <= name);
        self.members[..end].last().filter(|member| member.name == name)
    }

    pub(super) fn content(
        &self,
        member: &ArchiveMember,
        path: &Path,
        codec: Codec,
    ) -> io::Result<Cow<'_, [u8]>> {
        if let Some(content) = self.documents.get(&member.offset) {
            return Ok(content.into());
        }
        if member.size > MAX_DOCUMENT {
            let name = String::from_utf8_lossy(&member.name);
            return Err(io::Error::other(format!(
                "`{name}` has {} bytes, a document has {MAX_DOCUMENT} at most",
                member.size
            )));
        }
        let mut content = Vec::new();
        let archive = Decompressed::open_at(path, codec, member.offset)?;
        archive.take(member.size).read_to_end(&mut content)?;
        Ok(content.into())
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
