//! Reads the layers ahead of whoever writes them.

use std::sync::mpsc::{Receiver, Sender, SyncSender, channel as unbounded, sync_channel};

use super::Engine;
use crate::base::{Base, BaseLayer, BaseReader};
use crate::cache::{Key, KeyBuilder, LayerDigest};
use crate::image::LayerSource;
use crate::layer::{Content, Step};
use crate::store;

/// Bytes of headers and small files that are handed over at a time.
const CHUNK: usize = 256 << 10;
/// What a buffer holds beyond that, the largest file that is read with its header included.
const SLACK: usize = 80 << 10;
/// Pieces that are read ahead.
const AHEAD: usize = 8;

/// Some of a layer's bytes.
#[derive(Debug)]
pub enum Piece {
    /// These.
    Bytes(Vec<u8>),
    /// The content of this file.
    File(Content),
    /// The layer is complete.
    End,
}

/// The layers' bytes in the image's order, each layer closed by [`Piece::End`].
#[derive(Debug)]
pub struct Pieces {
    receiver: Receiver<anyhow::Result<Piece>>,
    used: Sender<Vec<u8>>,
}

/// The producer's end of [`Pieces`].
#[derive(Debug)]
pub(super) struct Producer {
    sender: SyncSender<anyhow::Result<Piece>>,
    used: Receiver<Vec<u8>>,
}

/// Nobody wants more pieces.
struct Closed;

enum Stop {
    Closed,
    Failed(anyhow::Error),
}

pub(super) fn channel() -> (Producer, Pieces) {
    let (sender, receiver) = sync_channel(AHEAD);
    let (give_back, used) = unbounded();
    (Producer { sender, used }, Pieces { receiver, used: give_back })
}

impl Pieces {
    /// The next piece; nothing when reading was ended early.
    pub fn next(&self) -> anyhow::Result<Option<Piece>> {
        self.receiver.recv().ok().transpose()
    }

    /// Gives a buffer back, to be filled again.
    pub fn recycle(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        // The producer may have ended.
        let _ = self.used.send(buffer);
    }
}

/// Reads all layers in their order until the last one's end, or until nobody wants more.
pub(super) fn produce(engine: &Engine<'_>, producer: &Producer) {
    let mut base = engine.image.base.as_ref().map(|base| (base, BaseReader::new(base)));
    for (index, layer) in engine.image.layers.iter().enumerate() {
        let produced = match (&layer.source, &mut base) {
            (LayerSource::Base(layer), Some((base, reader))) => {
                produce_base(engine, producer, base, reader, layer)
            }
            _ => produce_own(engine, producer, index),
        };
        let ended = produced.and_then(|()| Ok(producer.send(Piece::End)?));
        if let Err(stop) = ended {
            if let Stop::Failed(error) = stop {
                let _ = producer.sender.send(Err(error));
            }
            return;
        }
    }
}

fn produce_own(engine: &Engine<'_>, producer: &Producer, layer: usize) -> Result<(), Stop> {
    let mut stream = engine.stream(layer)?;
    loop {
        let mut buffer = producer.buffer();
        let step = stream.fill(&mut buffer, CHUNK).map_err(anyhow::Error::from)?;
        if !buffer.is_empty() {
            producer.send(Piece::Bytes(buffer))?;
        }
        match step {
            Step::Full => {}
            Step::File(content) => producer.send(Piece::File(content))?,
            Step::End => return Ok(()),
        }
    }
}

/// A base layer's bytes are checked against its diffID, unless that was done in an earlier run.
fn produce_base(
    engine: &Engine<'_>,
    producer: &Producer,
    base: &Base,
    reader: &mut BaseReader<'_>,
    layer: &BaseLayer,
) -> Result<(), Stop> {
    let key = base_key(base, layer)?;
    let checked = LayerDigest { digest: layer.diff_id, size: layer.member.size };
    if engine.cache.get(&key) == Some(checked)
        && let Some(section) = reader.section(layer)
    {
        return Ok(producer.send(Piece::File(section?))?);
    }
    reader.read(layer, |bytes| {
        let mut buffer = producer.buffer();
        buffer.extend_from_slice(bytes);
        Ok::<_, Stop>(producer.send(Piece::Bytes(buffer))?)
    })?;
    engine.cache.put(&key, &checked);
    Ok(())
}

fn base_key(base: &Base, layer: &BaseLayer) -> anyhow::Result<Key> {
    let scan = store::scan(base.path())?;
    let mut key = KeyBuilder::new("base");
    key.add_identity(&scan.identity);
    key.add(&scan.fingerprint);
    key.add(&layer.member.offset.to_le_bytes());
    Ok(key.finish())
}

impl Producer {
    fn buffer(&self) -> Vec<u8> {
        self.used.try_recv().unwrap_or_else(|_| Vec::with_capacity(CHUNK + SLACK))
    }

    fn send(&self, piece: Piece) -> Result<(), Closed> {
        self.sender.send(Ok(piece)).map_err(|_| Closed)
    }
}

impl From<Closed> for Stop {
    fn from(_: Closed) -> Self {
        Self::Closed
    }
}

impl<E: Into<anyhow::Error>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}
