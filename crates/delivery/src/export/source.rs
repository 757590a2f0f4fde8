//! A layer's tar file, whose contents are located but not copied where possible.

use std::fs::File;
use std::io::{self, BufRead as _, Read, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use crate::error::ExportError;
use image::layer::{LayerStream, TarReader};
use image::members::Source;

/// The files with the contents: existing ones, or an unnamed temporary file.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// Existing files; those of one layer are often the same.
    pub(super) files: Vec<PathBuf>,
    /// For contents that are not in an existing file.
    pub(super) spool: Option<Spool>,
}

/// A temporary file, deleted when the process exits.
#[derive(Debug)]
pub(super) struct Spool {
    pub(super) file: File,
    end: u64,
}

/// Where the content of a file starts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Location {
    /// Which of the existing files it is in; `None` is the temporary file.
    pub(super) file: Option<u32>,
    pub(super) offset: u64,
}

/// Reads contents by their location.
#[derive(Debug)]
pub(super) struct ContentReader<'a> {
    contents: &'a Contents,
    /// The file that was read last.
    open: Option<(u32, File)>,
}

impl<'a> ContentReader<'a> {
    pub(super) fn new(contents: &'a Contents) -> Self {
        Self { contents, open: None }
    }

    /// Fills the buffer with the bytes at `offset` of a content.
    pub(super) fn read(
        &mut self,
        location: Location,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<(), ExportError> {
        let error = |path: &Path, source| ExportError::Content { path: path.to_owned(), source };
        let Some(number) = location.file else {
            let Some(spool) = &self.contents.spool else { return Ok(()) };
            let read = spool.file.read_exact_at(buffer, location.offset + offset);
            return read.map_err(|source| error(&std::env::temp_dir(), source));
        };
        let path = &self.contents.files[number as usize];
        let file = match self.open.take() {
            Some((open, file)) if open == number => file,
            _ => File::open(path).map_err(|source| error(path, source))?,
        };
        let read = file.read_exact_at(buffer, location.offset + offset);
        self.open = Some((number, file));
        read.map_err(|source| error(path, source))
    }
}

/// Reads a layer's tar file.
pub(super) struct LayerSource<'a, 'b> {
    tar: TarReader<'a>,
    contents: &'b mut Contents,
}

impl<'a, 'b> LayerSource<'a, 'b> {
    pub(super) fn new(stream: LayerStream<'a>, contents: &'b mut Contents) -> Self {
        Self { tar: TarReader::new(stream), contents }
    }

    /// The location of the next `size` bytes. Bytes that are not in a file go into the temporary
    /// one.
    pub(super) fn locate(&mut self, size: u64) -> io::Result<Location> {
        let Some((path, offset)) = self.tar.section(size)? else { return self.spool(size) };
        if self.contents.files.last().is_none_or(|last| last != path) {
            self.contents.files.push(path.to_owned());
        }
        let number = u32::try_from(self.contents.files.len() - 1).map_err(io::Error::other)?;
        Ok(Location { file: Some(number), offset })
    }

    fn spool(&mut self, size: u64) -> io::Result<Location> {
        let mut spool = match self.contents.spool.take() {
            Some(spool) => spool,
            None => Spool { file: tempfile::tempfile()?, end: 0 },
        };
        let offset = spool.end;
        let mut left = size;
        while left > 0 {
            let ahead = self.tar.fill_buf()?;
            let bytes = left.min(ahead.len() as u64) as usize;
            if bytes == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            spool.file.write_all(&ahead[..bytes]).map_err(|error| {
                let directory = std::env::temp_dir();
                let directory = directory.display();
                io::Error::new(
                    error.kind(),
                    format!("writing a temporary file in `{directory}`: {error}"),
                )
            })?;
            self.tar.consume(bytes);
            left -= bytes as u64;
        }
        spool.end += size;
        self.contents.spool = Some(spool);
        Ok(Location { file: None, offset })
    }
}

impl Read for LayerSource<'_, '_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.tar.read(out)
    }
}

impl Source for LayerSource<'_, '_> {
    fn skip_to(&mut self, position: u64) -> io::Result<()> {
        self.tar.skip_to(position)
    }
}
