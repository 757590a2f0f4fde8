//! The layers of an image, streamed from the registry into its archive.
//!
//! A layer's header contains the size, which is only known after decompression. So room for the
//! header is left first, and no temporary file is needed.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;

use super::blob::{Hashed, PIECE};
use super::{PullError, Source, archive, decompress};
use crate::{Observer, Transfer};
use formats::digest::{Digest, HashWriter};
use formats::tar::{self, go};
use oci::{Compression, Descriptor, is_foreign_layer};

/// The buffer size for compressed bytes.
const BLOB_BUFFER: usize = 128 << 10;

/// The layers of an archive being written.
pub(super) struct Layers<'a> {
    source: &'a Source,
    file: &'a File,
    observer: &'a dyn Observer,
    /// The end of the file.
    position: u64,
    buffer: Vec<u8>,
}

impl<'a> Layers<'a> {
    pub(super) fn new(
        source: &'a Source,
        mut file: &'a File,
        observer: &'a dyn Observer,
    ) -> Result<Self, PullError> {
        let position = file.stream_position().map_err(PullError::Writing)?;
        Ok(Self { source, file, observer, position, buffer: vec![0; PIECE] })
    }

    /// Writes each distinct layer once.
    pub(super) fn write(&mut self) -> Result<Transfer, PullError> {
        let source = self.source;
        let layers = &source.manifest.layers;
        let mut transfer = Transfer::none(layers.len(), source.size());
        let mut written = HashSet::new();
        for (index, (layer, diff_id)) in layers.iter().zip(&source.diff_ids).enumerate() {
            if !written.insert(diff_id) {
                continue;
            }
            self.write_layer(layer, *diff_id).map_err(|source| PullError::Layer {
                number: index + 1,
                digest: layer.digest,
                source: source.into(),
            })?;
            transfer.layers_sent += 1;
            transfer.bytes_sent += layer.size;
        }
        Ok(transfer)
    }

    /// Appends bytes.
    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<(), PullError> {
        self.file.write_all(bytes).map_err(PullError::Writing)?;
        self.position += bytes.len() as u64;
        Ok(())
    }

    fn write_layer(&mut self, layer: &Descriptor, diff_id: Digest) -> Result<(), PullError> {
        let is_foreign = is_foreign_layer(&layer.media_type);
        if Compression::of_layer(&layer.media_type).is_none() && !is_foreign {
            let shown = formats::peer_text::start(&layer.media_type, 100);
            return Err(PullError::LayerType(shown));
        }
        let blob = match self.source.repository.download(layer.digest, layer.size) {
            Err(error) if is_foreign => return Err(PullError::Foreign(error.into())),
            blob => blob?,
        };
        let mut blob = Hashed { blob, hash: HashWriter::default(), observer: self.observer };
        let start = self.position;
        self.put(&[0; tar::BLOCK as usize])?;
        let size = self.decompress(&mut blob, diff_id)?;
        blob.check(layer.digest)?;
        let mut header = Vec::new();
        go::file(&archive::member(diff_id), size, &mut header);
        self.make_room(start + tar::BLOCK, header.len() as u64 - tar::BLOCK)?;
        self.file.write_all_at(&header, start).map_err(PullError::Writing)?;
        self.put(tar::padding(size))
    }

    /// Decompresses a blob and appends the result; returns its size.
    fn decompress(&mut self, blob: &mut Hashed<'_>, diff_id: Digest) -> Result<u64, PullError> {
        let start = self.position;
        let mut hash = HashWriter::default();
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut blob = BufReader::with_capacity(BLOB_BUFFER, blob);
        let (mut content, format) = decompress::reader(&mut blob).map_err(PullError::reading)?;
        loop {
            let read = content.read(&mut buffer).map_err(|error| failure(error, format))?;
            if read == 0 {
                break;
            }
            hash.update(&buffer[..read]);
            self.put(&buffer[..read])?;
        }
        drop(content);
        self.buffer = buffer;
        // Bytes after the compressed data belong to the blob too.
        io::copy(&mut blob, &mut io::sink()).map_err(PullError::reading)?;
        let found = hash.finish();
        if found != diff_id {
            return Err(PullError::WrongLayer { found, expected: diff_id });
        }
        Ok(self.position - start)
    }

    /// Moves everything from `start` on by `bytes`, to make room for the extended header of a layer
    /// that turned out to have 8 GiB or more.
    fn make_room(&mut self, start: u64, bytes: u64) -> Result<(), PullError> {
        if bytes > 0 {
            move_up(self.file, start..self.position, bytes, &mut self.buffer)
                .and_then(|()| self.file.seek(SeekFrom::Start(self.position + bytes)))
                .map_err(PullError::Writing)?;
            self.position += bytes;
        }
        Ok(())
    }
}

/// Moves a part of a file towards its end by `bytes`.
fn move_up(file: &File, part: Range<u64>, bytes: u64, buffer: &mut [u8]) -> io::Result<()> {
    // The last piece first, as the destination of each may overlap the next.
    let mut end = part.end;
    while end > part.start {
        let length = (end - part.start).min(buffer.len() as u64);
        end -= length;
        let piece = &mut buffer[..length as usize];
        file.read_exact_at(piece, end)?;
        file.write_all_at(piece, end + bytes)?;
    }
    Ok(())
}

/// The registry's error if there is one; otherwise the compressed data is invalid.
fn failure(error: io::Error, format: &'static str) -> PullError {
    match PullError::reading(error) {
        PullError::Fetching(error) => PullError::Compression(format, error),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_files_move_up_whatever_the_buffer_holds() {
        for length in [0, 1, 99, 100, 101, 1000] {
            for bytes in [1, 99, 100, 1024] {
                let part: Vec<u8> = (0..length).map(|byte| byte as u8).collect();
                let mut file = tempfile::tempfile().unwrap();
                file.write_all(&[b"head".as_slice(), &part].concat()).unwrap();
                move_up(&file, 4..4 + length, bytes, &mut [0; 100]).unwrap();
                let mut found = vec![0; part.len()];
                file.read_exact_at(&mut found, 4 + bytes).unwrap();
                assert_eq!(found, part, "{length} by {bytes}");
            }
        }
    }
}
