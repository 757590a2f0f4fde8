//! The content of a docker-archive as if it were unpacked: names are unique, and the last of
//! several members with the same name counts.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt as _;

use tar::EntryType;

/// The limit for an archive's members; an image has some hundreds at most.
const MAX_MEMBERS: usize = 100_000;
/// The limit for links that lead to each other.
const MAX_LINKS: usize = 40;

/// The components of a path. Compared this way, paths are in the order of `tar --sort=name`.
pub(super) type Path = Vec<Vec<u8>>;

/// The members of a docker-archive by their paths.
#[derive(Debug, Default)]
pub(super) struct Members(pub(super) BTreeMap<Path, Node>);

/// The type of a member.
#[derive(Clone, Debug)]
pub(super) enum Node {
    /// A directory with this mode.
    Directory(u32),
    /// A symbolic link to this target.
    Link(Vec<u8>),
    /// A file with this mode.
    File(u32, Content),
}

/// The content of a file.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// A section of the base image's archive.
    Base(Section),
    /// A string.
    Text(String),
    /// The image's new layer.
    Layer,
}

/// A section of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Section {
    pub(super) offset: u64,
    pub(super) size: u64,
}

impl Members {
    /// Reads the headers of an uncompressed archive.
    pub(super) fn read(file: &File) -> io::Result<Self> {
        let mut members = Self::default();
        let mut archive = tar::Archive::new(BufReader::new(file));
        for (index, entry) in archive.entries_with_seek()?.enumerate() {
            let entry = entry?;
            if index == MAX_MEMBERS {
                return Err(io::Error::other(format!("it has more than {MAX_MEMBERS} members")));
            }
            let name = entry.path_bytes();
            let shown = || String::from_utf8_lossy(&name).into_owned();
            let outside = || io::Error::other(format!("`{}` leads out of it", shown()));
            let path = parse(&name).ok_or_else(outside)?;
            let mode = entry.header().mode()? & 0o7777;
            let target = entry.link_name_bytes().unwrap_or_default();
            let node = match entry.header().entry_type() {
                EntryType::Regular | EntryType::Continuous => {
                    let section = Section { offset: entry.raw_file_position(), size: entry.size() };
                    Node::File(mode, Content::Base(section))
                }
                EntryType::Directory => Node::Directory(mode),
                EntryType::Symlink => Node::Link(target.into_owned()),
                EntryType::Link => {
                    let linked = parse(&target).and_then(|target| members.0.get(&target));
                    linked.cloned().ok_or_else(|| {
                        io::Error::other(format!("`{}` links to a missing member", shown()))
                    })?
                }
                EntryType::XGlobalHeader => continue,
                _ => {
                    return Err(io::Error::other(format!(
                        "`{}` is neither a file, a directory nor a link; write the archive again, \
                         as `skopeo copy ... docker-archive:FILE` does",
                        shown()
                    )));
                }
            };
            members.insert(path, node);
        }
        Ok(members)
    }

    /// Adds a member and its parent directories.
    pub(super) fn insert(&mut self, path: Path, node: Node) {
        for length in 0..path.len() {
            self.0.entry(path[..length].to_vec()).or_insert(Node::Directory(0o755));
        }
        self.0.insert(path, node);
    }

    /// The content of a file, following links; `None` if the file does not exist.
    pub(super) fn file(&self, name: &[u8]) -> Option<&Content> {
        let mut path = parse(name)?;
        for _ in 0..MAX_LINKS {
            match self.0.get(&path)? {
                Node::File(_, content) => return Some(content),
                Node::Directory(_) => return None,
                Node::Link(target) => {
                    let parent = path[..path.len() - 1].join(&b'/');
                    path = parse_within(&[parent.as_slice(), b"/", target].concat())?;
                }
            }
        }
        None
    }
}

/// A name's path; `None` if it leads out of the archive, as one with `..` may.
pub(super) fn parse(name: &[u8]) -> Option<Path> {
    let parts = name.split(|&byte| byte == b'/').filter(|part| !matches!(*part, b"" | b"."));
    parts.map(|part| (part != b"..").then(|| part.to_vec())).collect()
}

/// The same, except that `..` is resolved as long as it stays within the archive.
fn parse_within(name: &[u8]) -> Option<Path> {
    let mut path = Path::new();
    for part in name.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(path.pop()?),
            part => path.push(part.to_vec()),
        }
    }
    Some(path)
}

impl Section {
    /// A reader of this section of a file.
    pub(super) fn of(self, file: &File) -> SectionReader<'_> {
        SectionReader { file, offset: self.offset, left: self.size }
    }
}

/// Reads a section from start to end.
#[derive(Debug)]
pub(super) struct SectionReader<'a> {
    file: &'a File,
    offset: u64,
    left: u64,
}

impl Read for SectionReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = self.left.min(buffer.len() as u64) as usize;
        let count = self.file.read_at(&mut buffer[..most], self.offset)?;
        self.offset += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}
