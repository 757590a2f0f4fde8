//! The members of all images, each name only once.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read};

use super::documents::{self, Documents};
use crate::Error;
use crate::archive::put_document;
use crate::error::MergeError;
use crate::output::Writer;
use formats::peer_text;
use formats::tar;
use image::members::{Member, Members, Source};

/// The maximum memory for the names of all members.
const MAX_NAMES: usize = 32 << 20;
/// The memory that a name takes in addition to its bytes.
const OVERHEAD: usize = 64;
/// How many bytes are copied at a time.
const COPY: usize = 256 << 10;
/// How many characters of a name are shown.
const SHOWN: usize = 200;

/// An archive read from a pipe.
#[derive(Debug)]
pub(super) struct Pipe {
    reader: File,
    position: u64,
}

impl Pipe {
    pub(super) fn new(reader: File) -> Self {
        Self { reader, position: 0 }
    }
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.reader.read(buffer)?;
        self.position += bytes as u64;
        Ok(bytes)
    }
}

impl Source for Pipe {
    fn skip_to(&mut self, position: u64) -> io::Result<()> {
        let ahead = position.saturating_sub(self.position);
        let skipped = io::copy(&mut self.by_ref().take(ahead), &mut io::sink())?;
        if skipped < ahead { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }
}

/// The archive being written.
#[derive(Debug)]
pub(super) struct Merged<'a> {
    output: &'a mut dyn Writer,
    /// The names of the members written so far, and their sizes.
    written: HashMap<Vec<u8>, u64>,
    memory: usize,
    documents: Documents,
    buffer: Vec<u8>,
}

impl<'a> Merged<'a> {
    pub(super) fn new(output: &'a mut dyn Writer) -> Self {
        let (written, documents) = (HashMap::new(), Documents::default());
        Self { output, written, memory: 0, documents, buffer: vec![0; COPY] }
    }

    /// Adds the members of an archive.
    pub(super) fn add<S: Source>(
        &mut self,
        image: &str,
        mut members: Members<S>,
    ) -> Result<(), Error> {
        let unreadable = |source| MergeError::Archive { image: image.to_owned(), source };
        self.documents.begin(image);
        // Members that differ from an earlier image's member of the same name.
        let mut different = HashSet::new();
        while let Some(member) = members.next_member().map_err(unreadable)? {
            let name = normal(image, &member)?;
            if documents::is_document(&name) {
                self.documents.read(&name, &member, members.source())?;
                continue;
            }
            match self.written.get(&name) {
                Some(&size) => {
                    if size != member.size {
                        different.insert(name);
                    }
                }
                None => self.put(image, &name, &member, members.source())?,
            }
        }
        // The thread that writes the archive may have more to write.
        io::copy(members.source(), &mut io::sink()).map_err(unreadable)?;
        for needed in self.documents.end()? {
            let name = clean(needed.as_bytes()).unwrap_or_default();
            let (image, member) = (image.to_owned(), shown(&name));
            if !self.written.contains_key(&name) {
                return Err(MergeError::Absent { image, member }.into());
            }
            if different.contains(&name) {
                return Err(MergeError::Conflict { image, member }.into());
            }
        }
        Ok(())
    }

    fn put(
        &mut self,
        image: &str,
        name: &[u8],
        member: &Member,
        content: &mut impl Read,
    ) -> Result<(), Error> {
        self.memory += name.len() + OVERHEAD;
        if self.memory > MAX_NAMES {
            return Err(MergeError::TooMuch(MAX_NAMES >> 20).into());
        }
        self.written.insert(name.to_owned(), member.size);
        let size = if member.is_file() { member.size } else { 0 };
        let Member { typeflag, mode, uid, gid, mtime, ref target, ref uname, ref gname, .. } =
            *member;
        // Long names are stored in the records.
        let records = member.records.iter().filter(|(keyword, _)| keyword != b"path");
        let records: Vec<_> = records.cloned().collect();
        let device = member.device;
        let written = tar::Member {
            name,
            typeflag,
            mode,
            uid,
            gid,
            uname,
            gname,
            size,
            mtime,
            target,
            device,
            records: &records,
        };
        let mut header = Vec::new();
        tar::encode(&written, &mut header);
        self.output.put(&header)?;
        let mut left = size;
        while left > 0 {
            let bytes = left.min(COPY as u64) as usize;
            content.read_exact(&mut self.buffer[..bytes]).map_err(|source| {
                // Without the text of `read_exact`, which is about its buffer.
                let source = match source.kind() {
                    kind @ io::ErrorKind::UnexpectedEof => kind.into(),
                    _ => source,
                };
                MergeError::Archive { image: image.to_owned(), source }
            })?;
            self.output.put(&self.buffer[..bytes])?;
            left -= bytes as u64;
        }
        Ok(self.output.put(tar::padding(size))?)
    }

    /// Writes the documents and the end of the archive.
    pub(super) fn finish(self) -> Result<(), Error> {
        let Self { output, documents, .. } = self;
        let mtime = documents.mtime();
        for (name, text) in documents.merged() {
            put_document(output, name, &text, mtime)?;
        }
        output.put(tar::trailer(output.position()))?;
        Ok(output.finish()?)
    }
}

/// Checks a member; returns its normalized name.
fn normal(image: &str, member: &Member) -> Result<Vec<u8>, MergeError> {
    let problem = |problem| MergeError::Member {
        image: image.to_owned(),
        member: shown(&member.name),
        problem,
    };
    if member.is_sparse {
        return Err(problem(
            "which is stored as a file with holes; write the archive again without them, as tar \
             does without --sparse",
        ));
    }
    if !member.has_finite_time() {
        return Err(problem("whose time is not a finite number"));
    }
    if !member.is_file() && !matches!(member.typeflag, b'1' | b'2' | tar::DIRECTORY) {
        return Err(problem("which is neither a file nor a link nor a directory"));
    }
    clean(&member.name).ok_or_else(|| problem("whose name leads out of the archive"))
}

/// A name without empty components and `.`; `None` if it contains `..`.
pub(super) fn clean(name: &[u8]) -> Option<Vec<u8>> {
    let parts = name.split(|&byte| byte == b'/').filter(|part| !matches!(*part, b"" | b"."));
    let parts: Vec<_> = parts.collect();
    (!parts.contains(&&b".."[..])).then(|| parts.join(&b'/'))
}

fn shown(name: &[u8]) -> String {
    peer_text::start(&String::from_utf8_lossy(name), SHOWN)
}
