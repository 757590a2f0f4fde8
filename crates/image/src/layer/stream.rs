//! A layer's bytes, in chunks.

use super::{LayerError, TarStream};
use crate::base::{BaseStream, PlainStream};
use crate::content::{Chunk, Content};

/// A layer's bytes, from first to last.
#[derive(Debug)]
pub enum LayerStream<'a> {
    /// The tar file made from store paths.
    Tar(Box<TarStream<'a>>),
    /// A layer in the base image's archive, read through memory.
    Base(Box<BaseStream<'a>>),
    /// A compressed layer of the base image, decompressed.
    Plain(Box<PlainStream<'a>>),
    /// A file or a section of one, returned once.
    File(Option<Content>),
}

impl LayerStream<'_> {
    /// Appends to `out` until it holds about `limit` bytes, or until a large file follows, which is
    /// returned to be read or sent as a whole.
    pub fn fill(&mut self, out: &mut Vec<u8>, limit: usize) -> Result<Chunk<()>, LayerError> {
        match self {
            Self::Tar(stream) => Ok(stream.fill(out, limit)?),
            Self::Base(stream) => {
                let more = stream.fill(out, limit)?;
                Ok(if more { Chunk::Bytes(()) } else { Chunk::End })
            }
            Self::Plain(stream) => {
                let more = stream.fill(out, limit)?;
                Ok(if more { Chunk::Bytes(()) } else { Chunk::End })
            }
            Self::File(content) => Ok(content.take().map_or(Chunk::End, Chunk::File)),
        }
    }

    /// Skips what [`Self::fill`] would return, without opening any file. Returns the number of
    /// bytes skipped, 0 at the end. The contents of `scratch` are unspecified afterwards.
    pub fn skip(&mut self, scratch: &mut Vec<u8>, limit: usize) -> Result<u64, LayerError> {
        match self {
            Self::Tar(stream) => Ok(stream.skip(scratch, limit)?),
            Self::Base(stream) => {
                scratch.clear();
                stream.fill(scratch, limit)?;
                Ok(scratch.len() as u64)
            }
            Self::Plain(stream) => {
                scratch.clear();
                stream.fill(scratch, limit)?;
                Ok(scratch.len() as u64)
            }
            Self::File(content) => Ok(content.take().map_or(0, |content| content.size())),
        }
    }
}

/// Reads all of a layer's bytes through memory.
#[derive(Debug)]
pub struct LayerReader<'a> {
    stream: LayerStream<'a>,
    content: Option<Content>,
}

impl<'a> LayerReader<'a> {
    /// A reader at the layer's first byte.
    pub fn new(stream: LayerStream<'a>) -> Self {
        Self { stream, content: None }
    }

    /// Appends to `out` until it holds about `limit` bytes; fewer mean the end.
    pub fn fill(&mut self, out: &mut Vec<u8>, limit: usize) -> Result<(), LayerError> {
        out.reserve(limit.saturating_sub(out.len()));
        while out.len() < limit {
            if let Some(content) = &mut self.content {
                if content.read(out)? {
                    self.content = None;
                }
                continue;
            }
            match self.stream.fill(out, limit)? {
                Chunk::Bytes(()) => {}
                Chunk::File(content) => self.content = Some(content),
                Chunk::End => break,
            }
        }
        Ok(())
    }
}
