//! Turns the trees of a layer into a tar archive, piece by piece.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::buffer::spare_capacity;
use rustix::fs::{CWD, Mode, OFlags, openat};

use super::content::{Content, ReadError, Step};
use super::{Naming, Stamp, StoreLayer};
use crate::store::{self, Entry, Listing, Node, Store, Walk, WalkError};
use crate::tar::{self, Member};

/// Directories that every layer of store paths starts with, whatever the store's directory.
/// Part of every user's layer digests.
const STORE_PARENTS: [&[u8]; 2] = [b"/nix", b"/nix/store"];
/// Their mode.
const STORE_PARENT_MODE: u32 = 0o755;

/// Larger files are handed out, so that they need not pass through memory.
const LARGE: u64 = 64 << 10;

/// The archive of a [`StoreLayer`], in pieces.
#[derive(Debug)]
pub struct TarStream<'a> {
    store: &'a Store,
    layer: &'a StoreLayer,
    listings: Option<Arc<[Listing]>>,
    started: bool,
    next_path: usize,
    tree: Option<Tree>,
    /// Bytes handed out so far, contents of files among them.
    offset: u64,
    ended: bool,
}

/// A store path that is being archived.
#[derive(Debug)]
struct Tree {
    source: Source,
    cursor: Cursor,
}

/// Where the entries come from.
#[derive(Debug)]
enum Source {
    /// The scan that the layer's key was made of.
    Listing { listings: Arc<[Listing]>, index: usize, position: usize },
    /// A walk of its own, where there was no room for a listing.
    Walk(Walk),
}

/// The place in the tree.
#[derive(Debug)]
struct Cursor {
    /// Where the root is to be read.
    root: PathBuf,
    /// The current entry's name in the archive.
    name: Vec<u8>,
    /// How long the name was at each depth down to here.
    lengths: Vec<usize>,
    /// Open directories of the depths down to here, opened when a file needs them.
    directories: Vec<OwnedFd>,
}

impl<'a> TarStream<'a> {
    /// A stream from the first byte on. `listings`, one for each path, spare the walk.
    pub fn new(store: &'a Store, layer: &'a StoreLayer, listings: Option<Arc<[Listing]>>) -> Self {
        Self {
            store,
            layer,
            listings,
            started: false,
            next_path: 0,
            tree: None,
            offset: 0,
            ended: false,
        }
    }

    /// See [`super::LayerStream::fill`].
    pub fn fill(&mut self, out: &mut Vec<u8>, limit: usize) -> Result<Step, ReadError> {
        Ok(match self.advance(out, limit, Contents::Read)? {
            Advance::Full => Step::Full,
            Advance::End => Step::End,
            Advance::Large(cursor, size) => {
                Step::File(Content::new(cursor.open()?, cursor.path(), size))
            }
        })
    }

    /// See [`super::LayerStream::skip`].
    pub fn skip(&mut self, scratch: &mut Vec<u8>, limit: usize) -> Result<u64, ReadError> {
        scratch.clear();
        let before = self.offset;
        self.advance(scratch, limit, Contents::Skip)?;
        Ok(self.offset - before)
    }

    fn advance(
        &mut self,
        out: &mut Vec<u8>,
        limit: usize,
        contents: Contents,
    ) -> Result<Advance<'_>, ReadError> {
        if self.ended {
            return Ok(Advance::End);
        }
        let start = out.len();
        if !self.started {
            self.started = true;
            self.put_store_parents(out);
        }
        // What the large file before this piece lacks.
        out.extend_from_slice(tar::padding(self.offset));
        let mut skipped = 0;
        loop {
            let length = out.len() as u64 + skipped;
            if length >= limit as u64 {
                self.offset += length - start as u64;
                return Ok(Advance::Full);
            }
            let Some(tree) = &mut self.tree else {
                self.tree = self.next_tree()?;
                if self.tree.is_none() {
                    let size = self.offset + length - start as u64;
                    out.extend_from_slice(tar::trailer(size));
                    self.offset = size + tar::trailer(size).len() as u64;
                    self.ended = true;
                    return Ok(Advance::Full);
                }
                continue;
            };
            match tree.put_header(&self.layer.stamp, out)? {
                Some(Node::File(size)) if size >= LARGE => {
                    self.offset += out.len() as u64 + skipped - start as u64 + size;
                    // The tree is there: this entry came out of it.
                    let cursor = self.tree.as_mut().map(|tree| &mut tree.cursor);
                    return Ok(cursor.map_or(Advance::End, |cursor| Advance::Large(cursor, size)));
                }
                Some(Node::File(size)) => match contents {
                    Contents::Read => tree.cursor.put_small(size, out)?,
                    Contents::Skip => skipped += size.next_multiple_of(tar::BLOCK),
                },
                Some(_) => {}
                None => self.tree = None,
            }
        }
    }

    fn put_store_parents(&self, out: &mut Vec<u8>) {
        if self.layer.naming == Naming::Root {
            return;
        }
        for name in STORE_PARENTS {
            let header = Member {
                name,
                typeflag: tar::DIRECTORY,
                mode: STORE_PARENT_MODE,
                ..stamped(&self.layer.stamp)
            };
            tar::encode(&header, out);
        }
    }

    fn next_tree(&mut self) -> Result<Option<Tree>, ReadError> {
        let index = self.next_path;
        let Some(path) = self.layer.paths.get(index) else { return Ok(None) };
        self.next_path += 1;
        let root = self.store.physical(path);
        let source = match &self.listings {
            Some(listings) => {
                Source::Listing { listings: Arc::clone(listings), index, position: 0 }
            }
            None => Source::Walk(Walk::new(&root)?),
        };
        let name = match self.layer.naming {
            Naming::Store => path.as_str(),
            Naming::Root => &path.as_str()[path.entry_length()..],
        };
        let name = name.as_bytes().to_owned();
        let cursor = Cursor { root, lengths: vec![name.len()], name, directories: Vec::new() };
        Ok(Some(Tree { source, cursor }))
    }
}

/// What becomes of the contents of small files.
#[derive(Clone, Copy)]
enum Contents {
    Read,
    Skip,
}

/// How far [`TarStream::advance`] came.
enum Advance<'a> {
    /// As far as it should.
    Full,
    /// To the content of this large file, of so many bytes.
    Large(&'a mut Cursor, u64),
    /// To the end.
    End,
}

impl Tree {
    /// Appends the next entry's header and tells what the entry is; nothing at the tree's end.
    fn put_header(
        &mut self,
        stamp: &Stamp,
        out: &mut Vec<u8>,
    ) -> Result<Option<Node<'_>>, WalkError> {
        let Some(entry) = self.source.next_entry()? else { return Ok(None) };
        self.cursor.enter(&entry);
        let mut header =
            Member { name: &self.cursor.name, mode: entry.mode.into(), ..stamped(stamp) };
        match entry.node {
            Node::File(size) => (header.typeflag, header.size) = (tar::REGULAR, size),
            Node::Directory => header.typeflag = tar::DIRECTORY,
            Node::Symlink(target) => (header.typeflag, header.target) = (tar::SYMLINK, target),
            Node::Fifo => header.typeflag = tar::FIFO,
            Node::Character(device) => (header.typeflag, header.device) = (tar::CHARACTER, device),
            Node::Block(device) => (header.typeflag, header.device) = (tar::BLOCK_DEVICE, device),
        }
        tar::encode(&header, out);
        Ok(Some(entry.node))
    }
}

impl Source {
    fn next_entry(&mut self) -> Result<Option<Entry<'_>>, WalkError> {
        match self {
            Self::Listing { listings, index, position } => {
                let Some((entry, next)) = listings[*index].entry(*position) else {
                    return Ok(None);
                };
                *position = next;
                Ok(Some(entry))
            }
            Self::Walk(walk) => Ok(walk.next_entry()?.map(|found| found.entry)),
        }
    }
}

impl Cursor {
    fn enter(&mut self, entry: &Entry<'_>) {
        if entry.depth == 0 {
            return;
        }
        self.lengths.truncate(entry.depth);
        self.directories.truncate(entry.depth);
        self.name.truncate(self.lengths[entry.depth - 1]);
        self.name.push(b'/');
        self.name.extend_from_slice(entry.name);
        self.lengths.push(self.name.len());
    }

    /// Opens the current entry, a regular file, through its directories; no link is followed.
    fn open(&mut self) -> Result<File, ReadError> {
        // Not to be kept waiting by a pipe that someone put in the file's place.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let depth = self.lengths.len() - 1;
        while self.directories.len() < depth {
            let directory = match self.directories.last() {
                None => store::open_directory(CWD, self.root.as_os_str()),
                Some(parent) => {
                    store::open_directory(parent.as_fd(), self.component(self.directories.len()))
                }
            };
            self.directories
                .push(directory.map_err(|error| self.error("open the directory of", error))?);
        }
        let file = match self.directories.last() {
            None => openat(CWD, &self.root, flags, Mode::empty()),
            Some(parent) => openat(parent, self.component(depth), flags, Mode::empty()),
        };
        file.map(File::from).map_err(|error| self.error("open", error))
    }

    /// The name of the entry at some depth on the way to the current one.
    fn component(&self, depth: usize) -> &OsStr {
        OsStr::from_bytes(&self.name[self.lengths[depth - 1] + 1..self.lengths[depth]])
    }

    /// Appends a small file's content, read at one go, and its padding.
    fn put_small(&mut self, size: u64, out: &mut Vec<u8>) -> Result<(), ReadError> {
        let file = self.open()?;
        // One byte more than expected shows a file that grew.
        out.reserve(size as usize + 1);
        let mut found = 0;
        loop {
            match rustix::io::read(&file, spare_capacity(out)) {
                Ok(0) => break,
                Ok(bytes) => found += bytes as u64,
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(self.error("read", error)),
            }
            if found >= size {
                break;
            }
        }
        match found {
            found if found < size => {
                return Err(ReadError::Shrank { path: self.path(), expected: size, found });
            }
            found if found > size => {
                return Err(ReadError::Grew { path: self.path(), expected: size });
            }
            _ => {}
        }
        out.extend_from_slice(tar::padding(size));
        Ok(())
    }

    /// Where the current entry is to be read.
    fn path(&self) -> PathBuf {
        let below = &self.name[self.lengths[0]..];
        let mut path = self.root.as_os_str().as_bytes().to_owned();
        path.extend_from_slice(below);
        PathBuf::from(OsStr::from_bytes(&path))
    }

    fn error(&self, action: &'static str, error: rustix::io::Errno) -> ReadError {
        ReadError::Io { action, path: self.path(), source: error.into() }
    }
}

/// A header with what all entries of a layer have in common.
fn stamped(stamp: &Stamp) -> Member<'_> {
    Member {
        uid: stamp.uid,
        gid: stamp.gid,
        uname: stamp.uname.as_bytes(),
        gname: stamp.gname.as_bytes(),
        mtime: stamp.mtime,
        ..Member::default()
    }
}
