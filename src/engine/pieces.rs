//! Reads the layers ahead of whoever writes them.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Engine;
use crate::base::{Base, BaseLayer, BaseReader};
use crate::cache::{Key, KeyBuilder, LayerDigest};
use crate::image::LayerSource;
use crate::layer::{Content, LayerStream, ReadError, Step};
use crate::store;

/// Bytes of headers and small files in one piece.
const CHUNK: usize = 256 << 10;
/// What a buffer holds beyond that, the largest file that is read with its header included.
const SLACK: usize = 80 << 10;
/// Bytes, of large files as well, that a reader hands over at a time.
const TURN: u64 = 512 << 10;
/// Turns that each reader is ahead.
const AHEAD: usize = 4;
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
    readers: Vec<Receiver<anyhow::Result<Turn>>>,
    /// The reader whose turn is next.
    next: usize,
    /// What is left of the turn at hand.
    current: VecDeque<Piece>,
    buffers: Arc<Buffers>,
}

/// What a reader hands over at a time.
#[derive(Debug)]
struct Turn {
    pieces: Vec<Piece>,
    /// Who has the next turn.
    next: usize,
}

/// A reader's end of [`Pieces`].
#[derive(Debug)]
pub(super) struct Reader {
    number: usize,
    sender: SyncSender<anyhow::Result<Turn>>,
    buffers: Arc<Buffers>,
}

/// Buffers to be filled again.
#[derive(Debug, Default)]
struct Buffers(Mutex<Vec<Vec<u8>>>);

/// Nobody wants more pieces.
struct Closed;

enum Stop {
    Closed,
    Failed(anyhow::Error),
}

pub(super) fn channel() -> (Vec<Reader>, Pieces) {
    let buffers = Arc::new(Buffers::default());
    let (readers, receivers) = (0..READERS)
        .map(|number| {
            let (sender, receiver) = sync_channel(AHEAD);
            (Reader { number, sender, buffers: Arc::clone(&buffers) }, receiver)
        })
        .unzip();
    (readers, Pieces { readers: receivers, next: 0, current: VecDeque::new(), buffers })
}

impl Pieces {
    /// Gives a buffer back.
    pub fn recycle(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        self.buffers.lock().push(buffer);
    }
}

/// Ends early when reading was ended early.
impl Iterator for Pieces {
    type Item = anyhow::Result<Piece>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(piece) = self.current.pop_front() {
                return Some(Ok(piece));
            }
            match self.readers[self.next].recv().ok()? {
                Ok(turn) => {
                    self.next = turn.next;
                    self.current = turn.pieces.into();
                }
                Err(error) => return Some(Err(error)),
            }
        }
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
        let mut ended = false;
        for turn in 0.. {
            if ended {
                break;
            }
            if turn % READERS == self.number {
                let pieces = self.read_turn(&mut stream)?;
                ended = matches!(pieces.last(), Some(Piece::End));
                // Each layer begins with the first reader.
                let next = if ended { 0 } else { (turn + 1) % READERS };
                self.send(pieces, next)?;
            } else {
                ended = skip_turn(&mut stream, &mut scratch)?;
            }
        }
        Ok(())
    }

    fn read_turn(&self, stream: &mut LayerStream<'_>) -> Result<Vec<Piece>, ReadError> {
        let mut pieces = Vec::new();
        let mut size = 0;
        while size < TURN {
            let mut buffer = self.buffers.take();
            let step = stream.fill(&mut buffer, CHUNK)?;
            size += buffer.len() as u64;
            pieces.push(Piece::Bytes(buffer));
            match step {
                Step::Full => {}
                Step::File(content) => {
                    size += content.size();
                    pieces.push(Piece::File(content));
                }
                Step::End => {
                    pieces.push(Piece::End);
                    break;
                }
            }
        }
        Ok(pieces)
    }

    /// A base layer is read by the first reader alone. Its bytes are checked against its diffID,
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
            self.send(vec![Piece::File(section?)], 0)?;
        } else {
            base_reader.read(layer, |bytes| {
                let mut buffer = self.buffers.take();
                buffer.extend_from_slice(bytes);
                Ok::<_, Stop>(self.send(vec![Piece::Bytes(buffer)], 0)?)
            })?;
            engine.cache.put(&key, &checked);
        }
        Ok(self.send(vec![Piece::End], 0)?)
    }

    fn send(&self, pieces: Vec<Piece>, next: usize) -> Result<(), Closed> {
        self.sender.send(Ok(Turn { pieces, next })).map_err(|_| Closed)
    }
}

/// Passes over what another reader's [`Reader::read_turn`] reads; whether it came to the end.
fn skip_turn(stream: &mut LayerStream<'_>, scratch: &mut Vec<u8>) -> Result<bool, ReadError> {
    let mut size = 0;
    while size < TURN {
        match stream.skip(scratch, CHUNK)? {
            0 => return Ok(true),
            skipped => size += skipped,
        }
    }
    Ok(false)
}

impl Buffers {
    fn lock(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Vec<u8> {
        self.lock().pop().unwrap_or_else(|| Vec::with_capacity(CHUNK + SLACK))
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
