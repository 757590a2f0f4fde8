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

/// Threads that read; more than two do not find more to do while one thread writes.
const READERS: usize = 2;

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
///
/// A layer's pieces come in turns, and the readers take turns: each goes through the whole layer,
/// but opens and reads files in its own turns only.
#[derive(Debug)]
pub struct Pieces {
    readers: Vec<Receiver<Message>>,
    used: Vec<Sender<Vec<u8>>>,
    /// The reader whose turn it is.
    turn: usize,
}

/// A piece, and whether it is the last one of its reader's turn.
type Message = anyhow::Result<(Piece, bool)>;

/// A reader's end of [`Pieces`].
#[derive(Debug)]
pub(super) struct Reader {
    number: usize,
    sender: SyncSender<Message>,
    used: Receiver<Vec<u8>>,
}

/// Nobody wants more pieces.
struct Closed;

enum Stop {
    Closed,
    Failed(anyhow::Error),
}

pub(super) fn channel() -> (Vec<Reader>, Pieces) {
    let mut pieces = Pieces { readers: Vec::new(), used: Vec::new(), turn: 0 };
    let reader = |number| {
        let (sender, receiver) = sync_channel(AHEAD);
        let (give_back, used) = unbounded();
        pieces.readers.push(receiver);
        pieces.used.push(give_back);
        Reader { number, sender, used }
    };
    ((0..READERS).map(reader).collect(), pieces)
}

impl Pieces {
    /// Gives a buffer back, to be filled again.
    pub fn recycle(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        // The readers may have ended.
        let _ = self.used[self.turn].send(buffer);
    }
}

/// Ends early when reading was ended early.
impl Iterator for Pieces {
    type Item = anyhow::Result<Piece>;

    fn next(&mut self) -> Option<Self::Item> {
        let message = self.readers[self.turn].recv().ok()?;
        Some(message.map(|(piece, last)| {
            match piece {
                Piece::End => self.turn = 0,
                _ if last => self.turn = (self.turn + 1) % READERS,
                _ => {}
            }
            piece
        }))
    }
}

/// Reads the layers in their order until the last one's end, or until nobody wants more.
pub(super) fn read(engine: &Engine<'_>, reader: &Reader) {
    let mut base = engine.image.base.as_ref().map(|base| (base, BaseReader::new(base)));
    for (index, layer) in engine.image.layers.iter().enumerate() {
        let done = match (&layer.source, &mut base) {
            (LayerSource::Base(layer), Some((base, base_reader))) => {
                reader.read_base(engine, base, base_reader, layer)
            }
            _ => reader.read_own(engine, index),
        };
        match done {
            Ok(()) => {}
            Err(Stop::Closed) => return,
            Err(Stop::Failed(error)) => {
                let _ = reader.sender.send(Err(error));
                return;
            }
        }
    }
}

impl Reader {
    fn read_own(&self, engine: &Engine<'_>, layer: usize) -> Result<(), Stop> {
        let mut stream = engine.stream(layer)?;
        let mut scratch = Vec::new();
        for turn in 0.. {
            if turn % READERS != self.number {
                if !stream.skip(&mut scratch, CHUNK)? {
                    return Ok(());
                }
                continue;
            }
            let mut buffer = self.buffer();
            let step = stream.fill(&mut buffer, CHUNK)?;
            match step {
                Step::Full => self.send(Piece::Bytes(buffer), true)?,
                Step::File(content) => {
                    self.send(Piece::Bytes(buffer), false)?;
                    self.send(Piece::File(content), true)?;
                }
                Step::End => return Ok(self.send(Piece::End, true)?),
            }
        }
        Ok(())
    }

    /// A base layer is one turn, the first reader's. Its bytes are checked against its diffID,
    /// unless that was done in an earlier run.
    fn read_base(
        &self,
        engine: &Engine<'_>,
        base: &Base,
        base_reader: &mut BaseReader<'_>,
        layer: &BaseLayer,
    ) -> Result<(), Stop> {
        if self.number > 0 {
            return Ok(());
        }
        let key = base_key("base", base, layer)?;
        let checked = LayerDigest { digest: layer.diff_id, size: layer.member.size };
        if engine.cache.get(&key) == Some(checked)
            && let Some(section) = base_reader.section(layer)
        {
            self.send(Piece::File(section?), false)?;
        } else {
            base_reader.read(layer, |bytes| {
                let mut buffer = self.buffer();
                buffer.extend_from_slice(bytes);
                Ok::<_, Stop>(self.send(Piece::Bytes(buffer), false)?)
            })?;
            engine.cache.put(&key, &checked);
        }
        Ok(self.send(Piece::End, true)?)
    }

    fn buffer(&self) -> Vec<u8> {
        self.used.try_recv().unwrap_or_else(|_| Vec::with_capacity(CHUNK + SLACK))
    }

    fn send(&self, piece: Piece, last: bool) -> Result<(), Closed> {
        self.sender.send(Ok((piece, last))).map_err(|_| Closed)
    }
}

/// The key of what is remembered about a layer of the base.
pub(super) fn base_key(kind: &str, base: &Base, layer: &BaseLayer) -> anyhow::Result<Key> {
    let scan = store::scan(base.path())?;
    let mut key = KeyBuilder::new(kind);
    key.add_identity(&scan.identity);
    key.add(&scan.fingerprint);
    key.add(&layer.member.offset.to_le_bytes());
    Ok(key.finish())
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
