//! Turns the trees of a layer into a tar archive, piece by piece.

use std::sync::Arc;

use super::cursor::Cursor;
use super::disk::{self, Disk};
use super::part::Part;
use super::permissions::Attributes;
use super::{StoreLayer, tree};
use crate::content::{Chunk, Content, ReadError};
use crate::store::{Listing, Node, WalkError};
use formats::tar::{self, Member};

/// Files above this size are returned as files, so that they need not pass through memory.
const LARGE: u64 = 64 << 10;

/// Bytes of small files requested from the disk ahead of their turn.
const AHEAD: u64 = 8 << 20;
/// Bytes of them requested at a time.
const FETCH: usize = 256 << 10;

/// The archive of a [`StoreLayer`], in pieces.
#[derive(Debug)]
pub struct TarStream<'a> {
    layer: &'a StoreLayer,
    listings: Option<Arc<[Listing]>>,
    started: bool,
    next_part: usize,
    part: Option<Part>,
    /// Bytes returned so far, including the contents of files.
    offset: u64,
    ended: bool,
    disk: Disk,
    /// The same stream further ahead, if files have to be read from a disk.
    scout: Option<Box<TarStream<'a>>>,
}

impl<'a> TarStream<'a> {
    /// A stream at the first byte. `listings`, one for each path, save walking the trees again.
    pub fn new(layer: &'a StoreLayer, listings: Option<Arc<[Listing]>>) -> Self {
        Self {
            layer,
            listings,
            started: false,
            next_part: 0,
            part: None,
            offset: 0,
            ended: false,
            disk: Disk::default(),
            scout: None,
        }
    }

    /// See [`super::LayerStream::fill`].
    pub fn fill(&mut self, out: &mut Vec<u8>, limit: usize) -> Result<Chunk<()>, ReadError> {
        if self.disk.is_needed() {
            self.look_ahead();
        }
        Ok(match self.advance(out, limit, Contents::Read)? {
            Advance::Full => Chunk::Bytes(()),
            Advance::End => Chunk::End,
            Advance::Large(cursor, size) => {
                Chunk::File(Content::new(cursor.open()?, cursor.path(), size))
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

    /// Requests the next small files from the disk. An error here occurs again when the file is
    /// read, and is reported then.
    fn look_ahead(&mut self) {
        // Without listings, walking ahead would itself wait for the disk.
        let Some(listings) = &self.listings else { return };
        let layer = self.layer;
        let scout = self
            .scout
            .get_or_insert_with(|| Box::new(TarStream::new(layer, Some(Arc::clone(listings)))));
        let mut scratch = Vec::new();
        while !scout.ended && scout.offset < self.offset + AHEAD {
            scratch.clear();
            let passed = scout.offset < self.offset;
            let contents = if passed { Contents::Skip } else { Contents::Fetch };
            if scout.advance(&mut scratch, FETCH, contents).is_err() {
                return;
            }
        }
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
        // The padding of the large file before this piece.
        out.extend_from_slice(tar::padding(self.offset));
        let mut skipped = 0;
        loop {
            let length = out.len() as u64 + skipped;
            if length >= limit as u64 {
                self.offset += length - start as u64;
                return Ok(Advance::Full);
            }
            let Some(part) = &mut self.part else {
                self.part = self.next_part()?;
                if self.part.is_none() {
                    let size = self.offset + length - start as u64;
                    out.extend_from_slice(tar::trailer(size));
                    self.offset = size + tar::trailer(size).len() as u64;
                    self.ended = true;
                    return Ok(Advance::Full);
                }
                continue;
            };
            match part.put_header(self.layer, out)? {
                Some(Node::File(size)) if size >= LARGE => {
                    self.offset += out.len() as u64 + skipped - start as u64 + size;
                    // The part exists, as this entry belongs to it.
                    let cursor = self.part.as_mut().and_then(Part::cursor);
                    return Ok(cursor.map_or(Advance::End, |cursor| Advance::Large(cursor, size)));
                }
                Some(Node::File(size)) => match contents {
                    Contents::Read => {
                        if let Some(cursor) = part.cursor() {
                            cursor.put_small(size, &mut self.disk, out)?;
                        }
                    }
                    Contents::Skip => skipped += size.next_multiple_of(tar::BLOCK),
                    Contents::Fetch => {
                        if let Some(cursor) = part.cursor() {
                            disk::fetch(&cursor.open()?);
                        }
                        skipped += size.next_multiple_of(tar::BLOCK);
                    }
                },
                Some(_) => {}
                None => self.part = None,
            }
        }
    }

    fn put_store_parents(&self, out: &mut Vec<u8>) {
        if !self.layer.has_store_parents() {
            return;
        }
        let ownership = &self.layer.ownership;
        let attributes = Attributes {
            mode: tree::STORE_PARENT_MODE,
            uid: ownership.uid,
            gid: ownership.gid,
            uname: &ownership.uname,
            gname: &ownership.gname,
        };
        for name in tree::STORE_PARENTS {
            let header =
                Member { name, typeflag: tar::DIRECTORY, ..owned(&attributes, ownership.mtime) };
            tar::encode(&header, out);
        }
    }

    fn next_part(&mut self) -> Result<Option<Part>, ReadError> {
        if self.next_part == self.layer.parts() {
            return Ok(None);
        }
        let part = Part::new(self.layer, self.next_part, self.listings.as_ref(), None)?;
        self.next_part += 1;
        Ok(Some(part))
    }
}

/// What to do with the contents of small files.
#[derive(Clone, Copy)]
enum Contents {
    Read,
    Skip,
    /// Request them from the disk.
    Fetch,
}

/// Where [`TarStream::advance`] stopped.
enum Advance<'a> {
    /// At the limit.
    Full,
    /// Before the content of this large file, whose size in bytes follows.
    Large(&'a mut Cursor, u64),
    /// At the end.
    End,
}

impl Part {
    /// Appends the next entry's header and returns the entry's type; `None` at the part's end.
    fn put_header(
        &mut self,
        layer: &StoreLayer,
        out: &mut Vec<u8>,
    ) -> Result<Option<Node<'_>>, WalkError> {
        let Some((entry, cursor, attributes)) = self.next_entry(layer)? else { return Ok(None) };
        let mut header =
            Member { name: cursor.name(), ..owned(&attributes, layer.ownership.mtime) };
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

/// A header with the fields that all types of entries have.
fn owned<'a>(attributes: &Attributes<'a>, mtime: i64) -> Member<'a> {
    Member {
        mode: attributes.mode.into(),
        uid: attributes.uid,
        gid: attributes.gid,
        uname: attributes.uname.as_bytes(),
        gname: attributes.gname.as_bytes(),
        mtime,
        ..Member::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::Budget;
    use crate::layer::Naming;
    use crate::store::{Store, StorePath};

    impl StoreLayer {
        fn of_paths(store: Arc<Store>, paths: Vec<StorePath>) -> Self {
            let (copied, permissions) = (Vec::new(), Vec::new());
            let (naming, ownership) = (Naming::Store, Arc::default());
            Self { store, paths, naming, copied, permissions, ownership }
        }
    }

    fn bytes(mut stream: TarStream<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        loop {
            match stream.fill(&mut out, usize::MAX).unwrap() {
                Chunk::Bytes(()) => {}
                Chunk::File(mut content) => {
                    out.reserve(content.size() as usize + 1);
                    while !content.read(&mut out).unwrap() {}
                }
                Chunk::End => return out,
            }
        }
    }

    /// A Mac's store cannot contain both `A` and `a`, so Nix writes one of them under another name.
    #[test]
    fn names_that_differ_in_case_alone_are_those_of_linux() {
        let trees = [["a", "A~nix~case~hack~1", "b"], ["a", "A", "b"]].map(|names| {
            let root = tempfile::tempdir().unwrap();
            let store = Arc::new(Store::new("/nix/store", Some(root.path())).unwrap());
            let path = store.path("/nix/store/0-tree").unwrap();
            for (name, content) in names.iter().zip(["lower", "upper", "other"]) {
                let directory = store.physical(&path).join(name);
                std::fs::create_dir_all(&directory).unwrap();
                std::fs::write(directory.join("file"), content).unwrap();
            }
            let layer = StoreLayer::of_paths(store, vec![path]);
            bytes(TarStream::new(&layer, None))
        });
        assert!(trees[0] == trees[1]);
    }

    /// Reading ahead must not change the bytes, for any file size and number of trees.
    #[test]
    fn looking_ahead_changes_no_byte() {
        let root = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::new("/nix/store", Some(root.path())).unwrap());
        let mut paths = Vec::new();
        for tree in 0..3 {
            let path = store.path(&format!("/nix/store/{tree}-tree")).unwrap();
            let directory = store.physical(&path).join("a/b");
            std::fs::create_dir_all(&directory).unwrap();
            for (file, size) in [0, 1, 512, 60_000, 70_000, 300_000, 9 << 20].iter().enumerate() {
                let content: Vec<u8> = (0..*size).map(|at| (at + tree + file) as u8).collect();
                std::fs::write(directory.join(file.to_string()), content).unwrap();
            }
            paths.push(path);
        }
        let layer = StoreLayer::of_paths(store, paths);
        let budget = Budget::new(1 << 20);
        let scan = |path| {
            let listing = Some(Listing::new(&budget));
            crate::store::scan(&layer.store.physical(path), listing).unwrap().listing
        };
        let listings: Option<Arc<[Listing]>> = layer.paths.iter().map(scan).collect();
        let stream = |listings, disk| TarStream { disk, ..TarStream::new(&layer, listings) };
        let expected = bytes(stream(None, Disk::default()));
        assert!(expected.len() > 27 << 20);
        for listings in [None, listings] {
            let found = bytes(stream(listings, Disk::needed()));
            assert!(found == expected);
        }
    }
}
