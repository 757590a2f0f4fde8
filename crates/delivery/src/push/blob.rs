//! Makes a layer's blob: the layer is read, archived, hashed, compressed and hashed again in a
//! single pass, without storing any of it.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::Scope;

use super::error::PushError;
use crate::observer::Observer;
use formats::digest::{BlobId, Digest};
use formats::sha256::{Sha256, update_two};
use image::Digester;
use image::base::BaseLayer;
use image::compress::{Encoder, Pool, Settings};
use image::threads::{self, ThreadError};
use oci::Compression;

/// A layer and the blob made from it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Made {
    /// The layer.
    pub(super) layer: BlobId,
    /// Its blob.
    pub(super) blob: BlobId,
    pub(super) compression: Compression,
}

/// A block of a layer, or `None` at the end.
type Message = Result<Option<Vec<u8>>, PushError>;

/// The bytes of a blob, which is made while they are read.
pub(super) struct BlobStream<'a> {
    blocks: Receiver<Message>,
    pool: &'a Pool,
    encoder: Encoder<'a>,
    compression: Compression,
    /// The bytes of the blob to be read next.
    out: Vec<u8>,
    start: usize,
    /// The layer if it is known; otherwise it is hashed.
    known: Option<BlobId>,
    layer: Sha256,
    blob: Sha256,
    observer: &'a dyn Observer,
    /// Whether the layer has been read completely, and whether the blob is complete.
    layer_ended: bool,
    ended: bool,
    /// Why there are no more bytes before the end.
    failure: Option<PushError>,
}

impl<'a> BlobStream<'a> {
    /// Starts to read a layer in a separate thread.
    pub(super) fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        digester: &'scope Digester<'_>,
        layer: usize,
        settings: Settings,
        pool: &'a Pool,
        observer: &'a dyn Observer,
    ) -> Result<Self, ThreadError>
    where
        'a: 'scope,
    {
        // One block is filled while the previous one is hashed. More would take too much memory.
        let (sender, blocks) = sync_channel(0);
        // A base image's layer is known by its diffID, which is checked while it is read, and a
        // compressed one is sent as it is.
        let source = digester.image().layers()[layer].as_base();
        let known = source.map(|base| BlobId { digest: base.diff_id, size: base.member.size });
        let compressed = source.and_then(BaseLayer::compression);
        let compressed = compressed.filter(|compression| *compression != Compression::None);
        let settings = compressed.map_or(settings, |_| Settings::usual(Compression::None));
        threads::spawn(scope, move || {
            let reader = Reader { pool, sender: &sender };
            let read = reader.read(digester, layer);
            let _ = sender.send(read.map(|()| None));
        })?;
        Ok(Self {
            blocks,
            pool,
            encoder: Encoder::new(pool, settings),
            compression: compressed.unwrap_or(settings.compression),
            out: Vec::new(),
            start: 0,
            known,
            layer: Sha256::new(),
            blob: Sha256::new(),
            observer,
            layer_ended: false,
            ended: false,
            failure: None,
        })
    }

    /// What was made, once everything has been read.
    pub(super) fn finish(self) -> Result<Made, PushError> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        if !self.ended {
            return Err(PushError::EndedEarly);
        }
        let digest = |hash: Sha256| BlobId { size: hash.len(), digest: Digest(hash.finish()) };
        let layer = self.known.unwrap_or_else(|| digest(self.layer));
        let blob = if self.compression == Compression::None { layer } else { digest(self.blob) };
        Ok(Made { layer, blob, compression: self.compression })
    }

    /// Takes the error that made reading fail, if there is one.
    pub(super) fn failure(&mut self) -> Option<PushError> {
        self.failure.take()
    }

    /// Produces more output, or none at the end.
    fn advance(&mut self) -> Result<(), PushError> {
        self.pool.buffers().put(std::mem::take(&mut self.out));
        self.start = 0;
        while self.out.is_empty() && !self.ended {
            let block = self.next_block()?;
            if self.layer_ended || self.encoder.is_full() {
                let out = self.encoder.read().map_err(PushError::Making)?;
                self.ended = out.is_none();
                self.out = out.unwrap_or_default();
            }
            self.hash(block.as_deref().unwrap_or_default());
            if let Some(block) = block {
                self.encoder.write(block).map_err(PushError::Making)?;
            }
        }
        Ok(())
    }

    fn next_block(&mut self) -> Result<Option<Vec<u8>>, PushError> {
        if self.layer_ended {
            return Ok(None);
        }
        let block = self.blocks.recv().map_err(|_| PushError::EndedEarly)??;
        self.layer_ended = block.is_none();
        self.observer.bytes_made(block.as_ref().map_or(0, Vec::len) as u64);
        Ok(block)
    }

    /// Hashes what was read and what was made, at the same time if both are needed.
    fn hash(&mut self, block: &[u8]) {
        match (self.known, self.compression) {
            (None, Compression::None) => self.layer.update(block),
            (None, _) => update_two(&mut self.layer, block, &mut self.blob, &self.out),
            (Some(_), Compression::None) => {}
            (Some(_), _) => self.blob.update(&self.out),
        }
    }
}

impl Read for BlobStream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let failed = || io::Error::other("the blob could not be made");
        if self.failure.is_some() {
            return Err(failed());
        }
        if self.start == self.out.len()
            && let Err(error) = self.advance()
        {
            self.failure = Some(error);
            return Err(failed());
        }
        let bytes = buffer.len().min(self.out.len() - self.start);
        buffer[..bytes].copy_from_slice(&self.out[self.start..][..bytes]);
        self.start += bytes;
        Ok(bytes)
    }
}

/// The thread that reads the layer.
struct Reader<'a> {
    pool: &'a Pool,
    sender: &'a SyncSender<Message>,
}

impl Reader<'_> {
    fn read(&self, digester: &Digester<'_>, layer: usize) -> Result<(), PushError> {
        let mut reader = digester.open_as_it_stands(layer)?;
        let mut block = self.pool.buffers().take();
        loop {
            reader.fill(&mut block, self.pool.block()).map_err(image::Error::from)?;
            if block.len() < self.pool.block() {
                return self.send(block);
            }
            self.send_full(&mut block)?;
        }
    }

    /// Sends a full block, and keeps the bytes after it.
    fn send_full(&self, block: &mut Vec<u8>) -> Result<(), PushError> {
        let rest = block.split_off(self.pool.block());
        self.send(std::mem::take(block))?;
        // Taken only now, so that no thread holds two buffers while it waits.
        *block = self.pool.buffers().take();
        block.extend_from_slice(&rest);
        Ok(())
    }

    fn send(&self, block: Vec<u8>) -> Result<(), PushError> {
        // The receiver reports by itself why it has stopped.
        self.sender.send(Ok(Some(block))).map_err(|_| PushError::EndedEarly)
    }
}
