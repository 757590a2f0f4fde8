//! The members of a base image's archive.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use super::codec::Codec;
use super::stream::Decompressed;
use crate::members::{Member, Members};

/// The largest document, such as a manifest, that is read into memory; other tools have the same
/// limit.
pub(super) const MAX_DOCUMENT: u64 = 4 << 20;
/// JSON members up to this size are stored while the archive is scanned, so that a compressed
/// archive need not be decompressed again for them.
const SMALL_DOCUMENT: u64 = 1 << 20;
/// The limit for all stored documents together.
const MAX_KEPT: usize = 4 << 20;
/// The limit for an archive's members; an image has some hundreds at most.
const MAX_MEMBERS: usize = 100_000;

/// A member, and how its content is compressed.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) member: Arc<Member>,
    pub(super) codec: Codec,
}

/// All members of an archive.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Sorted by name; members of the same name are in the archive's order.
    members: Vec<Found>,
    /// Contents of small JSON members, by their offset.
    documents: HashMap<u64, Vec<u8>>,
    kept: usize,
}

impl Index {
    pub(super) fn read(path: &Path, codec: Codec) -> io::Result<Self> {
        let mut index = Self::default();
        let mut members = Members::new(Decompressed::open_at(path, codec, 0)?);
        while let Some(member) = members.next_member()? {
            if index.members.len() == MAX_MEMBERS {
                return Err(io::Error::other(format!("it has more than {MAX_MEMBERS} members")));
            }
            let mut codec = Codec::None;
            if member.is_file() {
                let mut content = members.content(member.size);
                let mut start = Vec::new();
                content.by_ref().take(6).read_to_end(&mut start)?;
                codec = Codec::of(&start);
                index.keep_document(&member, start, &mut content)?;
            }
            index.members.push(Found { member: Arc::new(member), codec });
        }
        index.members.sort_by(|one, other| one.member.name.cmp(&other.member.name));
        Ok(index)
    }

    /// The member of that name. If there are several, the last one counts.
    pub(super) fn find(&self, name: &[u8]) -> Option<&Found> {
        let end = self.members.partition_point(|found| found.member.name.as_slice() <= name);
        self.members[..end].last().filter(|found| found.member.name == name)
    }

    pub(super) fn content(
        &self,
        member: &Member,
        path: &Path,
        codec: Codec,
    ) -> io::Result<Cow<'_, [u8]>> {
        if let Some(content) = self.documents.get(&member.offset) {
            return Ok(content.into());
        }
        if member.size > MAX_DOCUMENT {
            let name = String::from_utf8_lossy(&member.name);
            return Err(io::Error::other(format!(
                "`{name}` has {} bytes; a document has {MAX_DOCUMENT} at most",
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
        member: &Member,
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
