//! Writes a tree as a tar file.
//!
//! Names start with `./` and are sorted as by GNU tar's `--sort=name`; headers are those of this
//! program's layers, with numeric owners only. Of a file with several names, the first one has the
//! content and the others are links to it. So the bytes depend on the tree and not on the layers it
//! was made from. Any change to this is a change of [`FORMAT`](super::FORMAT).

use std::collections::HashMap;

use super::source::{ContentReader, Contents, Location};
use super::tree::{Content, Inode, Metadata, Tree, Visited};
use crate::Error;
use crate::output::Writer;
use formats::tar::{self, Member};

/// How many bytes are copied at a time.
const COPY: usize = 256 << 10;

/// Writes the whole tree. If `mtime` is given, it replaces the time of all entries, in seconds
/// since 1970. Returns the number of entries.
pub(super) fn emit(
    tree: &Tree,
    contents: &Contents,
    mtime: Option<i64>,
    output: &mut dyn Writer,
) -> Result<usize, Error> {
    let mut names = vec![0_u32; tree.inodes()];
    tree.visit(|_, visited| {
        if let Visited::Inode(number, _) = visited {
            names[number] += 1;
        }
        Ok::<_, Error>(())
    })?;
    let mut emitter = Emitter {
        contents: ContentReader::new(contents),
        mtime,
        output,
        names,
        firsts: HashMap::new(),
        buffer: vec![0; COPY],
        entries: 0,
    };
    tree.visit(|path, visited| emitter.put(path, &visited))?;
    let Emitter { output, entries, .. } = emitter;
    output.put(tar::trailer(output.position()))?;
    output.finish()?;
    Ok(entries)
}

struct Emitter<'a> {
    contents: ContentReader<'a>,
    mtime: Option<i64>,
    output: &'a mut dyn Writer,
    /// The number of names of each inode.
    names: Vec<u32>,
    /// The first name of each inode that has several.
    firsts: HashMap<usize, Vec<u8>>,
    buffer: Vec<u8>,
    entries: usize,
}

impl Emitter<'_> {
    fn put(&mut self, path: &[u8], visited: &Visited<'_>) -> Result<(), Error> {
        self.entries += 1;
        match visited {
            Visited::Directory(metadata) => {
                self.put_header(path, metadata, |member| member.typeflag = tar::DIRECTORY)
            }
            Visited::Inode(number, inode) => {
                if let Some(first) = self.firsts.get(number) {
                    let first = first.clone();
                    return self.put_header(path, &inode.metadata, |member| {
                        member.typeflag = tar::HARD_LINK;
                        member.target = &first;
                    });
                }
                if self.names[*number] > 1 {
                    self.firsts.insert(*number, path.to_owned());
                }
                self.put_inode(path, inode)
            }
        }
    }

    fn put_inode(&mut self, path: &[u8], inode: &Inode) -> Result<(), Error> {
        let device = |typeflag, numbers| {
            move |member: &mut Member<'_>| {
                member.typeflag = typeflag;
                member.device = numbers;
            }
        };
        let metadata = &inode.metadata;
        match &inode.content {
            Content::File { location, size } => {
                self.put_header(path, metadata, |member| member.size = *size)?;
                self.copy(*location, *size)?;
                Ok(self.output.put(tar::padding(*size))?)
            }
            Content::Symlink(target) => {
                let target = target.clone();
                self.put_header(path, metadata, |member| {
                    member.typeflag = tar::SYMLINK;
                    member.target = &target;
                })
            }
            Content::Character(numbers) => {
                self.put_header(path, metadata, device(tar::CHARACTER, *numbers))
            }
            Content::Block(numbers) => {
                self.put_header(path, metadata, device(tar::BLOCK_DEVICE, *numbers))
            }
            Content::Fifo => {
                self.put_header(path, metadata, device(tar::FIFO, tar::Device::default()))
            }
        }
    }

    fn put_header<'m>(
        &mut self,
        path: &'m [u8],
        metadata: &'m Metadata,
        say: impl FnOnce(&mut Member<'m>),
    ) -> Result<(), Error> {
        let Metadata { mode, uid, gid, mtime, ref records } = *metadata;
        let mut member = Member {
            name: path,
            typeflag: tar::REGULAR,
            mode,
            uid,
            gid,
            mtime: self.mtime.unwrap_or(mtime),
            records,
            ..Member::default()
        };
        say(&mut member);
        let mut header = Vec::with_capacity(512);
        tar::encode(&member, &mut header);
        Ok(self.output.put(&header)?)
    }

    fn copy(&mut self, location: Location, size: u64) -> Result<(), Error> {
        let mut done = 0;
        while done < size {
            let bytes = (size - done).min(COPY as u64) as usize;
            self.contents.read(location, done, &mut self.buffer[..bytes])?;
            self.output.put(&self.buffer[..bytes])?;
            done += bytes as u64;
        }
        Ok(())
    }
}
