//! Reads a tar archive member by member, as Python's `tarfile` does.
//!
//! The `tar` crate's own iterator reads extended headers of any size into memory, splits records at
//! line ends and interprets fields that Python does not, so only its type for single headers is
//! used. Memory use is bounded for any archive.

mod header;
mod records;

use std::io::{self, Read};
use std::mem::discriminant;
use std::sync::Arc;

use tar::{EntryType, Header};

use formats::tar::{BLOCK, DIRECTORY, Device, Record};
use records::{Budget, Records};

/// The largest extended header; most have some hundred bytes.
const MAX_EXTENDED_HEADER: u64 = 1 << 20;
/// Memory for a member in addition to its names and records.
const OVERHEAD: usize = 256;

/// A source of an archive's bytes, in which unneeded ones can be skipped.
pub trait Source: Read {
    /// Moves forward to a position, in bytes from the archive's start.
    ///
    /// # Errors
    ///
    /// If the archive ends before it, or cannot be read.
    fn skip_to(&mut self, position: u64) -> io::Result<()>;
}

/// One member of an archive: its header's fields, and the position of its content.
#[derive(Clone, Debug, Default)]
pub struct Member {
    /// The name.
    pub name: Vec<u8>,
    /// The type flag.
    pub typeflag: u8,
    /// The link's target; the field may also be set for a file.
    pub target: Vec<u8>,
    /// Permission bits.
    pub mode: u32,
    /// The owner's ID.
    pub uid: i64,
    /// The group's ID.
    pub gid: i64,
    /// The owner's name.
    pub uname: Vec<u8>,
    /// The group's name.
    pub gname: Vec<u8>,
    /// The modification time, in seconds since 1970.
    pub mtime: i64,
    /// The device numbers; 0 if the fields contain none.
    pub device: Device,
    /// The records of its extended headers.
    pub records: Arc<Vec<Record>>,
    /// The size of the content in bytes.
    pub size: u64,
    /// Whether the content is incomplete, because the file is stored as a sparse one.
    pub is_sparse: bool,
    /// The position of the content in the archive.
    pub offset: u64,
}

impl Member {
    /// Whether it is a regular file with complete content.
    pub fn is_file(&self) -> bool {
        matches!(self.typeflag, b'0' | 0 | b'7') && !self.is_sparse
    }

    /// Whether its time is a finite number.
    pub fn has_finite_time(&self) -> bool {
        let time = self.records.iter().find(|(keyword, _)| keyword == b"mtime");
        time.is_none_or(|(_, value)| records::float(value).is_finite())
    }
}

/// The members of an archive, in order.
#[derive(Debug)]
pub struct Members<S> {
    archive: S,
    /// The position of the next header.
    next: u64,
    /// The records of the global extended headers.
    global: Records,
    /// The same records for members, once one uses them.
    shared: Option<Arc<Vec<Record>>>,
    budget: Budget,
}

/// A header that extends the following member's own header.
enum Extension {
    Name(Vec<u8>),
    Target(Vec<u8>),
    Records(Records),
}

impl<S: Source> Members<S> {
    /// The members of an archive that is positioned at its first byte.
    pub fn new(archive: S) -> Self {
        let (global, budget) = (Records::new(), Budget::default());
        Self { archive, next: 0, global, shared: None, budget }
    }

    /// The next member; `None` at the archive's end.
    ///
    /// # Errors
    ///
    /// If the archive cannot be read, is not a tar file, or has headers that take too much memory
    /// or are ambiguous.
    pub fn next_member(&mut self) -> io::Result<Option<Member>> {
        let mut extensions = Vec::new();
        loop {
            self.archive.skip_to(self.next)?;
            let position = self.next;
            let Some(header) = self.header()? else {
                if extensions.is_empty() {
                    return Ok(None);
                }
                return Err(io::Error::other("it ends after an extended header"));
            };
            let read = match kind(&header) {
                EntryType::GNULongName
                | EntryType::GNULongLink
                | EntryType::XHeader
                | EntryType::XGlobalHeader => {
                    self.extension(&header, &mut extensions).map(|()| None)
                }
                _ => self.member(&header, std::mem::take(&mut extensions)).map(Some),
            };
            let at = |error| io::Error::other(format!("the header at byte {position}: {error}"));
            if let Some(member) = read.map_err(at)? {
                return Ok(Some(member));
            }
        }
    }

    /// The end of the last returned member, where the next header is, in bytes from the archive's
    /// start.
    pub fn position(&self) -> u64 {
        self.next
    }

    /// The source, positioned at the content of the last returned member.
    pub fn source(&mut self) -> &mut S {
        &mut self.archive
    }

    /// Resets the budget because the caller has dropped all members.
    pub fn forget(&mut self) {
        self.budget = Budget::without(records::total_cost(&self.global));
    }

    /// The content of the last returned member, up to `size` bytes.
    pub fn content(&mut self, size: u64) -> impl Read {
        self.archive.by_ref().take(size)
    }

    /// The header at the archive's position; `None` at the archive's end.
    fn header(&mut self) -> io::Result<Option<Header>> {
        let mut header = Header::new_old();
        let mut block = self.archive.by_ref().take(BLOCK);
        let mut bytes = Vec::with_capacity(BLOCK as usize);
        block.read_to_end(&mut bytes)?;
        if bytes.iter().all(|&byte| byte == 0) {
            return Ok(None);
        }
        if bytes.len() < BLOCK as usize {
            return Err(io::Error::other("it is cut off within a header"));
        }
        header.as_mut_bytes().copy_from_slice(&bytes);
        if !header::has_its_checksum(&header) {
            return Err(io::Error::other(format!(
                "the header at byte {} has a wrong checksum",
                self.next
            )));
        }
        self.next += BLOCK;
        Ok(Some(header))
    }

    /// Reads a header that applies to following members.
    fn extension(&mut self, header: &Header, extensions: &mut Vec<Extension>) -> io::Result<()> {
        let payload = self.payload(header)?;
        let text = || header::text(&payload).to_owned();
        let extension = match kind(header) {
            EntryType::GNULongName => Extension::Name(text()),
            EntryType::GNULongLink => Extension::Target(text()),
            EntryType::XHeader => {
                self.budget.take(records::total_cost(&self.global))?;
                let mut records = self.global.clone();
                records::add(&mut records, &payload, &mut self.budget)?;
                Extension::Records(records)
            }
            _ => return self.global(&payload, extensions),
        };
        let same = |known: &Extension| discriminant(known) == discriminant(&extension);
        if extensions.iter().any(same) {
            return Err(io::Error::other("a member has two of its kind"));
        }
        extensions.push(extension);
        Ok(())
    }

    /// Adds the records of a global header.
    fn global(&mut self, payload: &[u8], extensions: &[Extension]) -> io::Result<()> {
        if extensions.iter().any(|extension| matches!(extension, Extension::Records(_))) {
            return Err(io::Error::other("it is between a member and its own records"));
        }
        records::add(&mut self.global, payload, &mut self.budget)?;
        self.shared = None;
        if self.global.contains_key(b"size".as_slice()) {
            return Err(io::Error::other("it gives all members the same size"));
        }
        Ok(())
    }

    /// An extended header's content.
    fn payload(&mut self, header: &Header) -> io::Result<Vec<u8>> {
        let size = header::size(header)?;
        if size > MAX_EXTENDED_HEADER {
            return Err(io::Error::other(format!(
                "an extended header has {size} bytes, more than {MAX_EXTENDED_HEADER}"
            )));
        }
        let mut payload = vec![0; size as usize];
        self.fill(&mut payload)?;
        self.next += size.next_multiple_of(BLOCK);
        Ok(payload)
    }

    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        self.archive.read_exact(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => io::Error::other("the archive is cut off within it"),
            _ => error,
        })
    }

    fn member(&mut self, header: &Header, extensions: Vec<Extension>) -> io::Result<Member> {
        let mut member = header::member(header)?;
        let mut stored = member.size;
        if header.entry_type() == EntryType::GNUSparse {
            self.skip_sparse_map(header)?;
        }
        header::apply(&self.global, &mut member)?;
        let mut own = None;
        // The first header takes precedence.
        for extension in extensions.into_iter().rev() {
            match extension {
                Extension::Name(name) => member.name = name,
                Extension::Target(target) => member.target = target,
                Extension::Records(records) => {
                    header::apply(&records, &mut member)?;
                    if records.contains_key(b"size".as_slice()) {
                        stored = member.size;
                    }
                    own = Some(Arc::new(records.into_iter().collect()));
                }
            }
        }
        member.records = match own {
            Some(records) => records,
            None => self.shared()?,
        };
        if member.typeflag == DIRECTORY {
            member.name.truncate(header::without_slashes(&member.name).len());
        }
        let texts = [&member.name, &member.target, &member.uname, &member.gname];
        let length: usize = texts.into_iter().map(Vec::len).sum();
        self.budget.take(OVERHEAD + length)?;
        member.offset = self.next;
        if header::has_data(member.typeflag) {
            let size = stored.checked_next_multiple_of(BLOCK);
            let end = size.and_then(|size| self.next.checked_add(size));
            self.next = end.ok_or_else(|| io::Error::other("its size is out of range"))?;
        }
        Ok(member)
    }

    /// The global records, for members without any of their own.
    fn shared(&mut self) -> io::Result<Arc<Vec<Record>>> {
        if let Some(shared) = &self.shared {
            return Ok(Arc::clone(shared));
        }
        self.budget.take(records::total_cost(&self.global))?;
        let records = self.global.iter().map(|(keyword, value)| (keyword.clone(), value.clone()));
        let shared = self.shared.insert(Arc::new(records.collect()));
        Ok(Arc::clone(shared))
    }

    /// Skips the blocks in which an old GNU sparse file's map continues.
    fn skip_sparse_map(&mut self, header: &Header) -> io::Result<()> {
        let mut goes_on = header.as_bytes()[482] != 0;
        while goes_on {
            let mut block = [0; BLOCK as usize];
            self.fill(&mut block)?;
            self.next += BLOCK;
            goes_on = block[504] != 0;
        }
        Ok(())
    }
}

/// The header's type. Solaris had its own type for extended headers.
fn kind(header: &Header) -> EntryType {
    match header.entry_type() {
        other if other.as_byte() == b'X' => EntryType::XHeader,
        other => other,
    }
}
