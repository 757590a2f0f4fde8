//! A layer's blob while it is being made: read, archived, hashed, compressed and hashed again in
//! one pass, of which nothing is kept.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::Scope;

use anyhow::{Context as _, anyhow};

use super::known;
use crate::base::BaseReader;
use crate::cache::LayerDigest;
use crate::compress::{Compression, Encoder, Settings};
use crate::digest::Digest;
use crate::engine::Engine;
use crate::image::LayerSource;
use crate::sha256::Sha256;

/// Bytes that are handed over at a time.
const CHUNK: usize = 256 << 10;
/// What a buffer holds beyond that, the largest file that is read with its header included.
const SLACK: usize = 80 << 10;
/// Buffers that are read ahead.
const AHEAD: usize = 3;

/// What was made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Made {
    /// The layer.
    pub(super) layer: LayerDigest,
    /// Its blob.
    pub(super) blob: LayerDigest,
    pub(super) compression: Compression,
}

/// Some of a layer, or its end.
enum Chunk {
    Bytes(Vec<u8>),
    End(LayerDigest),
}

/// The bytes of a blob, made while they are read.
pub(super) struct BlobStream {
    chunks: Receiver<anyhow::Result<Chunk>>,
    used: Sender<Vec<u8>>,
    settings: Settings,
    threads: usize,
    encoder: Option<Encoder>,
    compression: Compression,
    out: Vec<u8>,
    start: usize,
    /// Over the blob; none where that is the layer as it was hashed already.
    hash: Option<Sha256>,
    layer: Option<LayerDigest>,
    /// Why there is no more to read, if it is not the end.
    failure: Option<anyhow::Error>,
}

impl BlobStream {
    /// Starts to read a layer on a thread of its own. `base` goes on from one layer of the base
    /// image to the next.
    pub(super) fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        engine: &'scope Engine<'_>,
        layer: usize,
        base: Option<&'scope mut BaseReader<'_>>,
        settings: Settings,
        threads: usize,
    ) -> Self {
        let (sender, chunks) = sync_channel(AHEAD);
        let (give_back, used) = channel();
        // A layer of the base image that comes compressed stays as it is.
        let compressed = match &engine.image().layers[layer].source {
            LayerSource::Base(base) => base.encoding().map(known::compression),
            _ => None,
        };
        let compressed = compressed.filter(|compression| *compression != Compression::None);
        let compression = compressed.unwrap_or(settings.compression);
        let settings =
            if compressed.is_some() { Settings::usual(Compression::None) } else { settings };
        scope.spawn(move || {
            let reader = Reader { sender, used };
            let read = match base {
                Some(base) => reader.read_base(engine, layer, base),
                None => reader.read_own(engine, layer),
            };
            let _ = reader.sender.send(read.map(Chunk::End));
        });
        Self {
            chunks,
            used: give_back,
            settings,
            threads,
            encoder: None,
            compression,
            out: Vec::new(),
            start: 0,
            hash: (compression != Compression::None).then(Sha256::new),
            layer: None,
            failure: None,
        }
    }

    /// What was made, once all of it was read.
    pub(super) fn finish(self) -> anyhow::Result<Made> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let layer = self.layer.context("a layer was not read to its end")?;
        let blob = self.hash.map_or(layer, |hash| {
            let size = hash.len();
            LayerDigest { digest: Digest(hash.finish()), size }
        });
        Ok(Made { layer, blob, compression: self.compression })
    }

    /// Why reading failed, if that is why.
    pub(super) fn failure(&mut self) -> Option<anyhow::Error> {
        self.failure.take()
    }

    /// Makes more output; nothing at the end.
    fn advance(&mut self) -> anyhow::Result<()> {
        self.out.clear();
        self.start = 0;
        while self.out.is_empty() && self.layer.is_none() {
            match self.chunks.recv().map_err(|_| anyhow!("reading a layer ended early"))?? {
                Chunk::Bytes(bytes) => {
                    let encoder = match &mut self.encoder {
                        Some(encoder) => encoder,
                        none => none.insert(Encoder::new(self.settings, self.threads)?),
                    };
                    encoder.write(&bytes, &mut self.out)?;
                    let _ = self.used.send(bytes);
                }
                Chunk::End(layer) => {
                    self.layer = Some(layer);
                    if let Some(encoder) = self.encoder.take() {
                        encoder.finish(&mut self.out)?;
                    }
                }
            }
        }
        if let Some(hash) = &mut self.hash {
            hash.update(&self.out);
        }
        Ok(())
    }
}

impl Read for BlobStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.failure.is_some() {
            return Err(io::Error::other("the blob could not be made"));
        }
        if self.start == self.out.len()
            && let Err(error) = self.advance()
        {
            self.failure = Some(error);
            return Err(io::Error::other("the blob could not be made"));
        }
        let bytes = buffer.len().min(self.out.len() - self.start);
        buffer[..bytes].copy_from_slice(&self.out[self.start..][..bytes]);
        self.start += bytes;
        Ok(bytes)
    }
}

/// The thread that reads.
struct Reader {
    sender: SyncSender<anyhow::Result<Chunk>>,
    used: Receiver<Vec<u8>>,
}

impl Reader {
    fn read_own(&self, engine: &Engine<'_>, layer: usize) -> anyhow::Result<LayerDigest> {
        let mut reader = engine.open(layer)?;
        let mut hash = Sha256::new();
        loop {
            let mut buffer = self.buffer();
            reader.fill(&mut buffer, CHUNK)?;
            let ended = buffer.len() < CHUNK;
            hash.update(&buffer);
            self.send(buffer)?;
            if ended {
                let size = hash.len();
                return Ok(LayerDigest { digest: Digest(hash.finish()), size });
            }
        }
    }

    /// A base layer's bytes are as they are in the archive, and checked against its diffID.
    fn read_base(
        &self,
        engine: &Engine<'_>,
        layer: usize,
        base: &mut BaseReader<'_>,
    ) -> anyhow::Result<LayerDigest> {
        let LayerSource::Base(source) = &engine.image().layers[layer].source else {
            anyhow::bail!("layer {} is no layer of the base image", layer + 1);
        };
        base.read(source, |bytes| {
            let mut buffer = self.buffer();
            buffer.extend_from_slice(bytes);
            self.send(buffer)
        })?;
        Ok(LayerDigest { digest: source.diff_id, size: source.member.size })
    }

    fn buffer(&self) -> Vec<u8> {
        let mut buffer = self.used.try_recv().unwrap_or_else(|_| Vec::with_capacity(CHUNK + SLACK));
        buffer.clear();
        buffer
    }

    fn send(&self, bytes: Vec<u8>) -> anyhow::Result<()> {
        // The other side says itself why it has enough.
        self.sender.send(Ok(Chunk::Bytes(bytes))).map_err(|_| anyhow!("nobody reads the layer"))
    }
}
