//! Compression of an output.

use super::Writer;
use crate::error::OutputError;
use image::Content;
use image::compress::{Encoder, Pool};

/// How many bytes of a file are read at a time.
const COPY: usize = 256 << 10;

/// Compresses everything that is written to it.
#[derive(Debug)]
pub(crate) struct Compressed<'a> {
    output: &'a mut dyn Writer,
    pool: &'a Pool,
    encoder: Encoder<'a>,
    /// The block being filled.
    block: Vec<u8>,
    taken: u64,
}

impl<'a> Compressed<'a> {
    /// Compresses with the pool's threads and this encoder, and writes the result to `output`.
    pub(crate) fn new(output: &'a mut dyn Writer, pool: &'a Pool, encoder: Encoder<'a>) -> Self {
        Self { output, pool, encoder, block: pool.buffers().take(), taken: 0 }
    }

    /// Passes the current block to the encoder. A block that is not full is the last one.
    fn compress(&mut self) -> Result<(), OutputError> {
        while self.encoder.is_full() {
            self.write_one()?;
        }
        let block = std::mem::replace(&mut self.block, self.pool.buffers().take());
        self.encoder.write(block).map_err(failed)
    }

    /// Writes the next compressed block; `false` if there is none in progress.
    fn write_one(&mut self) -> Result<bool, OutputError> {
        let Some(block) = self.encoder.read().map_err(failed)? else { return Ok(false) };
        self.output.put(&block)?;
        self.pool.buffers().put(block);
        Ok(true)
    }
}

impl Writer for Compressed<'_> {
    fn position(&self) -> u64 {
        self.taken
    }

    fn put(&mut self, mut bytes: &[u8]) -> Result<(), OutputError> {
        self.taken += bytes.len() as u64;
        while !bytes.is_empty() {
            let room = self.pool.block() - self.block.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.block.extend_from_slice(now);
            bytes = later;
            if self.block.len() == self.pool.block() {
                self.compress()?;
            }
        }
        Ok(())
    }

    fn put_file(&mut self, content: &mut Content) -> Result<(), OutputError> {
        self.put_file_through(content, &mut |_| ())
    }

    fn put_file_through(
        &mut self,
        content: &mut Content,
        see: &mut dyn FnMut(&[u8]),
    ) -> Result<(), OutputError> {
        let mut copied = Vec::with_capacity(COPY);
        while content.remaining() > 0 {
            copied.clear();
            content.read(&mut copied)?;
            see(&copied);
            self.put(&copied)?;
        }
        Ok(content.finish()?)
    }

    /// Does nothing, as blocks are only compressed as a whole.
    fn flush(&mut self) -> Result<(), OutputError> {
        Ok(())
    }

    fn finish(&mut self) -> Result<(), OutputError> {
        self.compress()?;
        while self.write_one()? {}
        self.output.finish()
    }
}

fn failed(source: std::io::Error) -> OutputError {
    OutputError::Write { what: "the compressed archive", source }
}
