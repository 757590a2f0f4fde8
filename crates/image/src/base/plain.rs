//! Reads layers decompressed.

use std::fmt;
use std::io::{self, Read};

use super::stream::Decompressed;
use super::{BaseError, BaseLayer};
use crate::members::Source as _;
use formats::digest::HashWriter;

/// Reads one layer's decompressed tar file, then leaves the archive to the next reader.
pub struct PlainStream<'a> {
    layer: &'a BaseLayer,
    content: Box<dyn Read + Send + 'a>,
    hash: HashWriter,
    ended: bool,
}

impl<'a> PlainStream<'a> {
    pub(super) fn new(layer: &'a BaseLayer) -> Result<Self, BaseError> {
        let unreadable = |source| BaseError::Read { path: layer.archive.path.clone(), source };
        let standing = Standing::open(layer).map_err(unreadable)?;
        let content = layer.codec.reader(standing).map_err(unreadable)?;
        Ok(Self { layer, content, hash: HashWriter::default(), ended: false })
    }

    /// Appends to `out` until it holds about `limit` bytes or the layer ends; returns whether there
    /// were any bytes. The last bytes are only returned if the layer matches the base's config.
    ///
    /// # Errors
    ///
    /// If the archive cannot be read or decompressed, or the layer is not the expected one.
    pub fn fill(&mut self, out: &mut Vec<u8>, limit: usize) -> Result<bool, BaseError> {
        if self.ended {
            return Ok(false);
        }
        let start = out.len();
        // At least one byte, to notice the end.
        let wanted = limit.saturating_sub(start).max(1) as u64;
        let read = self.content.by_ref().take(wanted).read_to_end(out);
        read.map_err(|source| {
            let source = super::codec::explain(source);
            BaseError::Read { path: self.layer.archive.path.clone(), source }
        })?;
        self.hash.update(&out[start..]);
        self.ended = ((out.len() - start) as u64) < wanted;
        if self.ended {
            let found = std::mem::take(&mut self.hash).finish();
            if found != self.layer.diff_id {
                out.truncate(start);
                return Err(self.layer.mismatch(found));
            }
        }
        Ok(out.len() > start)
    }
}

impl fmt::Debug for PlainStream<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PlainStream").field("layer", &self.layer).finish_non_exhaustive()
    }
}

/// A layer as stored in its archive. On drop, the archive is left to the next reader.
struct Standing<'a> {
    layer: &'a BaseLayer,
    archive: Option<Decompressed>,
    left: u64,
}

impl<'a> Standing<'a> {
    fn open(layer: &'a BaseLayer) -> io::Result<Self> {
        let (source, offset) = (&*layer.archive, layer.member.offset);
        let spare = source.spare.lock().take();
        let archive = match spare.filter(|archive| archive.position() <= offset) {
            Some(mut archive) => archive.skip_to(offset).map(|()| archive),
            None => Decompressed::open_at(&source.path, source.codec, offset),
        };
        Ok(Self { layer, archive: Some(archive?), left: layer.member.size })
    }
}

impl Read for Standing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(archive) = &mut self.archive else { return Ok(0) };
        let bytes = archive.take(self.left).read(buffer)?;
        self.left -= bytes as u64;
        if bytes == 0 && self.left > 0 && !buffer.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(bytes)
    }
}

impl Drop for Standing<'_> {
    fn drop(&mut self) {
        *self.layer.archive.spare.lock() = self.archive.take();
    }
}
