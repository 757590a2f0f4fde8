//! Reads the layers ahead of whoever writes them.

use formats::digest::BlobId;
use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::anyhow;

use super::Engine;
use crate::base::{Base, BaseLayer, BaseReader};
use crate::cache::{Key, KeyBuilder};
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
/// but opens and reads files in its own turns only. Where there is no listing both walk the trees,
/// so each turn says where it starts, lest a tree that changes meanwhile be put together wrongly.
#[derive(Debug)]
pub struct Pieces {
    readers: Vec<Receiver<anyhow::Result<Turn>>>,
    /// The reader whose turn is next.
    next: usize,
    /// The layer that comes next, and bytes of it in the turns up to the one at hand.
    place: (usize, u64),
    /// What is left of the turn at hand.
    current: VecDeque<Piece>,
    buffers: Arc<Buffers>,
}

/// What a reader hands over at a time.
#[derive(Debug)]
struct Turn {
    /// Where in the layer it starts, in bytes.
    start: u64,
    /// Bytes in its pieces.
    size: u64,
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
    (
        readers,
        Pieces { readers: receivers, next: 0, place: (0, 0), current: VecDeque::new(), buffers },
    )
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
                    let (layer, offset) = self.place;
                    if turn.start != offset {
                        return Some(Err(misfit(layer, offset, turn.start)));
                    }
                    self.next = turn.next;
                    let ended = matches!(turn.pieces.last(), Some(Piece::End));
                    self.place = if ended { (layer + 1, 0) } else { (layer, offset + turn.size) };
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
        let mut start = 0;
        for number in 0.. {
            let (size, ended) = if number % READERS == self.number {
                let mut turn = read_turn(&mut stream, start, &self.buffers)?;
                let ended = matches!(turn.pieces.last(), Some(Piece::End));
                // Each layer begins with the first reader.
                turn.next = if ended { 0 } else { (number + 1) % READERS };
                let size = turn.size;
                self.send(turn)?;
                (size, ended)
            } else {
                skip_turn(&mut stream, &mut scratch)?
            };
            if ended {
                break;
            }
            start += size;
        }
        Ok(())
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
        let key = base_key(CHECKED, base, layer)?;
        let checked = BlobId { digest: layer.diff_id, size: layer.member.size };
        if engine.cache.get(&key) == Some(checked)
            && let Some(section) = base_reader.section(layer)
        {
            let section = section?;
            self.send(Turn::of(0, section.size(), vec![Piece::File(section), Piece::End]))?;
        } else {
            let mut start = 0;
            base_reader.read(layer, |bytes| {
                let mut buffer = self.buffers.take();
                buffer.extend_from_slice(bytes);
                let size = bytes.len() as u64;
                self.send(Turn::of(start, size, vec![Piece::Bytes(buffer)]))?;
                start += size;
                Ok::<_, Stop>(())
            })?;
            engine.cache.put(&key, &checked);
            self.send(Turn::of(start, 0, vec![Piece::End]))?;
        }
        Ok(())
    }

    fn send(&self, turn: Turn) -> Result<(), Closed> {
        self.sender.send(Ok(turn)).map_err(|_| Closed)
    }
}

impl Turn {
    /// A turn after which the first reader has the next one.
    fn of(start: u64, size: u64, pieces: Vec<Piece>) -> Self {
        Self { start, size, pieces, next: 0 }
    }
}

fn read_turn(
    stream: &mut LayerStream<'_>,
    start: u64,
    buffers: &Buffers,
) -> Result<Turn, ReadError> {
    let mut turn = Turn::of(start, 0, Vec::new());
    while turn.size < TURN {
        let mut buffer = buffers.take();
        let step = stream.fill(&mut buffer, CHUNK)?;
        turn.size += buffer.len() as u64;
        turn.pieces.push(Piece::Bytes(buffer));
        match step {
            Step::Full => {}
            Step::File(content) => {
                turn.size += content.size();
                turn.pieces.push(Piece::File(content));
            }
            Step::End => {
                turn.pieces.push(Piece::End);
                break;
            }
        }
    }
    Ok(turn)
}

/// Passes over what another reader's [`read_turn`] reads; returns its size, and whether it came to
/// the end.
fn skip_turn(
    stream: &mut LayerStream<'_>,
    scratch: &mut Vec<u8>,
) -> Result<(u64, bool), ReadError> {
    let mut size = 0;
    while size < TURN {
        match stream.skip(scratch, CHUNK)? {
            0 => return Ok((size, true)),
            skipped => size += skipped,
        }
    }
    Ok((size, false))
}

fn misfit(layer: usize, expected: u64, found: u64) -> anyhow::Error {
    anyhow!(
        "the store paths of layer {} changed while they were being read: {expected} bytes \
         expected before an entry, {found} found; nothing may write to the store meanwhile",
        layer + 1
    )
}

impl Buffers {
    fn lock(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Vec<u8> {
        self.lock().pop().unwrap_or_else(|| Vec::with_capacity(CHUNK + SLACK))
    }
}

/// The kind of entry that says that a layer of the base is what its diffID says.
pub(super) const CHECKED: &str = "base";

/// The key of what is remembered about a layer of the base.
pub(super) fn base_key(kind: &str, base: &Base, layer: &BaseLayer) -> anyhow::Result<Key> {
    let scan = store::scan(base.path(), None)?;
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
