//! Writes archives like GNU tar.

use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use super::OneLayerError;
use super::walk::Entry;
use formats::tar::{
    BLOCK_DEVICE, CHARACTER, DIRECTORY, Device, FIFO, Member, REGULAR, SYMLINK, gnu, padding,
    trailer,
};
use formats::tarsum::{MemberSum, TarSum};

/// Bytes read at a time.
const BUFFER: usize = 256 << 10;

/// The owner and time of members.
#[derive(Clone, Debug)]
pub struct Owner {
    /// The owner's ID.
    pub uid: u32,
    /// The group's ID.
    pub gid: u32,
    /// The owner's name; may be empty.
    pub uname: Vec<u8>,
    /// The group's name; may be empty.
    pub gname: Vec<u8>,
    /// The modification time, in seconds since 1970.
    pub mtime: i64,
}

impl Owner {
    /// The user root and its group.
    pub fn root(mtime: i64) -> Self {
        Self { uid: 0, gid: 0, uname: b"root".into(), gname: b"root".into(), mtime }
    }

    /// The header of a member with this owner.
    pub(super) fn member<'a>(&'a self, name: &'a [u8], typeflag: u8, mode: u32) -> Member<'a> {
        Member {
            name,
            typeflag,
            mode,
            uid: self.uid.into(),
            gid: self.gid.into(),
            uname: &self.uname,
            gname: &self.gname,
            mtime: self.mtime,
            ..Member::default()
        }
    }
}

/// An archive that is being written.
#[derive(Debug)]
pub(super) struct Archive<W> {
    out: W,
    /// Bytes written so far.
    written: u64,
    header: Vec<u8>,
    buffer: Vec<u8>,
}

impl<W: Write> Archive<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, written: 0, header: Vec::new(), buffer: vec![0; BUFFER] }
    }

    /// Adds an entry of a tree under a name, and adds it to the sum, if given. Like tar, skips
    /// sockets.
    pub(super) fn add(
        &mut self,
        entry: &Entry,
        name: &[u8],
        owner: &Owner,
        sum: Option<&mut TarSum>,
    ) -> Result<(), OneLayerError> {
        let metadata = &entry.metadata;
        let Some(typeflag) = typeflag(metadata) else { return Ok(()) };
        let target = if typeflag == SYMLINK { entry.target()? } else { Vec::new() };
        let size = if typeflag == REGULAR { metadata.len() } else { 0 };
        let device = match typeflag {
            CHARACTER | BLOCK_DEVICE => {
                // The type has fewer bits on a Mac.
                let device = metadata.rdev() as rustix::fs::Dev;
                Device { major: rustix::fs::major(device), minor: rustix::fs::minor(device) }
            }
            _ => Device::default(),
        };
        let member = Member {
            size,
            target: &target,
            device,
            ..owner.member(name, typeflag, metadata.mode() & 0o7777)
        };
        let mut of_member = sum.is_some().then(|| MemberSum::new(&member));
        self.header(&member).map_err(OneLayerError::Write)?;
        if size > 0 {
            let file = File::open(&entry.location);
            let mut file = file.map_err(OneLayerError::io("open", &entry.location))?;
            self.file(&mut file, size, &entry.location, of_member.as_mut())?;
        }
        if let (Some(sum), Some(member)) = (sum, of_member) {
            sum.add(member);
        }
        Ok(())
    }

    /// Adds a header.
    pub(super) fn header(&mut self, member: &Member<'_>) -> io::Result<()> {
        self.header.clear();
        gnu::encode(member, &mut self.header);
        self.out.write_all(&self.header)?;
        self.written += self.header.len() as u64;
        Ok(())
    }

    /// Adds a file's content, which must have exactly `size` bytes, after its header, and adds it
    /// to the sum, if given.
    pub(super) fn file(
        &mut self,
        file: &mut impl Read,
        size: u64,
        path: &Path,
        sum: Option<&mut MemberSum>,
    ) -> Result<(), OneLayerError> {
        self.copy(file, size, path, sum)?;
        // If the file grew, it has more bytes than its header states.
        match file.read(&mut [0]) {
            Ok(0) => self.bytes(padding(size)).map_err(OneLayerError::Write),
            Ok(_) => Err(OneLayerError::Changed { path: path.to_owned(), expected: size }),
            Err(error) => Err(OneLayerError::io("read", path)(error)),
        }
    }

    /// Adds the next `size` bytes.
    pub(super) fn copy(
        &mut self,
        from: &mut impl Read,
        size: u64,
        path: &Path,
        mut sum: Option<&mut MemberSum>,
    ) -> Result<(), OneLayerError> {
        let mut left = size;
        while left > 0 {
            let most = left.min(BUFFER as u64) as usize;
            let count = match from.read(&mut self.buffer[..most]) {
                Ok(0) => {
                    return Err(OneLayerError::Changed { path: path.to_owned(), expected: size });
                }
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(OneLayerError::io("read", path)(error)),
            };
            let bytes = &self.buffer[..count];
            if let Some(sum) = &mut sum {
                sum.update(bytes);
            }
            self.out.write_all(bytes).map_err(OneLayerError::Write)?;
            self.written += count as u64;
            left -= count as u64;
        }
        Ok(())
    }

    /// Adds bytes in memory.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Adds content of `size` bytes with `write`, which returns how many bytes it wrote.
    pub(super) fn nested(
        &mut self,
        size: u64,
        write: impl FnOnce(&mut W) -> Result<u64, OneLayerError>,
    ) -> Result<(), OneLayerError> {
        let written = write(&mut self.out)?;
        if written != size {
            return Err(OneLayerError::Resized { expected: size, found: written });
        }
        self.written += written;
        self.bytes(padding(size)).map_err(OneLayerError::Write)
    }

    /// Ends the archive; returns the output and the size in bytes.
    pub(super) fn finish(mut self) -> Result<(W, u64), OneLayerError> {
        let end = self.bytes(trailer(self.written)).and_then(|()| self.out.flush());
        end.map_err(OneLayerError::Write)?;
        Ok((self.out, self.written))
    }
}

/// The type flag for a file's metadata; `None` for a socket.
fn typeflag(metadata: &Metadata) -> Option<u8> {
    let kind = metadata.file_type();
    Some(match kind {
        _ if kind.is_file() => REGULAR,
        _ if kind.is_dir() => DIRECTORY,
        _ if kind.is_symlink() => SYMLINK,
        _ if kind.is_char_device() => CHARACTER,
        _ if kind.is_block_device() => BLOCK_DEVICE,
        _ if kind.is_fifo() => FIFO,
        _ => return None,
    })
}
