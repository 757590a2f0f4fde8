//! Reads the layers ahead of the thread that writes them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use crate::buffers::Buffers;
use crate::content::Chunk;
use crate::error::Error;
use crate::hashing::Digester;
use crate::layer::{LayerError, LayerStream};
use crate::threads;

/// Bytes of headers and small files in one chunk.
const CHUNK: usize = 256 << 10;
/// Capacity of a buffer beyond a chunk: the largest file that is read along with its header.
const SLACK: usize = 80 << 10;
/// Bytes, including large files, that a reader passes on at a time.
const TURN: u64 = 512 << 10;
/// The number of turns that each reader may be ahead.
const AHEAD: usize = 4;
/// The number of reading threads; more than two do not help while one thread writes.
const READERS: usize = 2;

/// The layers' bytes in the image's order. Each layer ends with [`Chunk::End`].
///
/// The readers take turns: each goes through the whole layer, but opens and reads files only in its
/// own turns. Without listings, both walk the trees, so each turn includes its start position: if a
/// tree changes meanwhile, the positions differ.
#[derive(Debug)]
pub struct Chunks {
    readers: Vec<Receiver<Result<Turn, Error>>>,
    /// The reader with the next turn.
    next: usize,
    /// The layer being read, and its bytes up to and including the current turn.
    position: (usize, u64),
    /// The rest of the current turn.
    current: VecDeque<Chunk>,
    buffers: Arc<Buffers>,
}

/// What a reader passes on at a time.
#[derive(Debug)]
struct Turn {
    /// The position in the layer where it starts, in bytes.
    start: u64,
    /// The size of its chunks in bytes.
    size: u64,
    chunks: Vec<Chunk>,
    /// The reader with the next turn.
    next: usize,
}

/// A reader's end of [`Chunks`].
#[derive(Debug)]
struct Reader {
    number: usize,
    sender: SyncSender<Result<Turn, Error>>,
    buffers: Arc<Buffers>,
}

enum Stop {
    /// No more chunks are needed.
    Closed,
    Failed(Error),
}

/// Runs `consumer` while other threads read the layers, starting with `first`, and hash those whose
/// digests are unknown. `consumer` has the duties described at [`Digester::run`]. With `check`,
/// layers of the base image are verified again.
pub fn read_ahead<T, E: From<Error>>(
    digester: &Digester<'_>,
    first: usize,
    check: bool,
    consumer: impl FnOnce(Chunks) -> Result<T, E>,
) -> Result<T, E> {
    digester.run(|| {
        thread::scope(|scope| {
            let (readers, chunks) = channel(first);
            let start =
                |reader: Reader| threads::spawn(scope, move || reader.read(digester, first, check));
            let started = readers.into_iter().try_for_each(|reader| start(reader).map(drop));
            let result = match started {
                Ok(()) => consumer(chunks),
                Err(error) => Err(Error::from(error).into()),
            };
            digester.stop();
            result
        })
    })
}

fn channel(first: usize) -> (Vec<Reader>, Chunks) {
    let buffers = Arc::new(Buffers::new(CHUNK + SLACK));
    let (readers, receivers) = (0..READERS)
        .map(|number| {
            let (sender, receiver) = sync_channel(AHEAD);
            (Reader { number, sender, buffers: Arc::clone(&buffers) }, receiver)
        })
        .unzip();
    let (position, current) = ((first, 0), VecDeque::new());
    (readers, Chunks { readers: receivers, next: 0, position, current, buffers })
}

impl Chunks {
    /// Returns a buffer to the pool.
    pub fn recycle(&self, buffer: Vec<u8>) {
        self.buffers.put(buffer);
    }
}

/// Ends early if reading did.
impl Iterator for Chunks {
    type Item = Result<Chunk, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(chunk) = self.current.pop_front() {
                return Some(Ok(chunk));
            }
            match self.readers[self.next].recv().ok()? {
                Ok(turn) => {
                    let (layer, offset) = self.position;
                    if turn.start != offset {
                        let (expected, found) = (offset, turn.start);
                        return Some(Err(Error::Moved { layer, expected, found }));
                    }
                    self.next = turn.next;
                    let ended = matches!(turn.chunks.last(), Some(Chunk::End));
                    self.position =
                        if ended { (layer + 1, 0) } else { (layer, offset + turn.size) };
                    self.current = turn.chunks.into();
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl Reader {
    /// Reads the layers in order until the end of the last one, or until no more are needed.
    fn read(&self, digester: &Digester<'_>, first: usize, check: bool) {
        for layer in first..digester.image().layers.len() {
            match self.read_layer(digester, layer, check) {
                Ok(()) => {}
                Err(Stop::Closed) => return,
                Err(Stop::Failed(error)) => {
                    let _ = self.sender.send(Err(error));
                    return;
                }
            }
        }
    }

    fn read_layer(&self, digester: &Digester<'_>, layer: usize, check: bool) -> Result<(), Stop> {
        let is_base = digester.image().layers[layer].as_base().is_some();
        // A layer that can only be read as a whole is left to the first reader.
        let readers = if is_base { 1 } else { READERS };
        if self.number >= readers {
            return Ok(());
        }
        let mut stream = digester.stream(layer, check)?;
        let mut scratch = Vec::new();
        let mut start = 0;
        for number in 0.. {
            let (size, ended) = if number % readers == self.number {
                let turn = read_turn(&mut stream, start, &self.buffers);
                // The layer does not match what was remembered.
                let mut turn = turn.inspect_err(|_| {
                    if is_base {
                        digester.forget(layer);
                    }
                })?;
                let ended = matches!(turn.chunks.last(), Some(Chunk::End));
                // The first reader begins each layer.
                turn.next = if ended { 0 } else { (number + 1) % readers };
                let size = turn.size;
                if ended && matches!(stream, LayerStream::Base(_)) {
                    digester.found_base(layer);
                }
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

    fn send(&self, turn: Turn) -> Result<(), Stop> {
        self.sender.send(Ok(turn)).map_err(|_| Stop::Closed)
    }
}

fn read_turn(
    stream: &mut LayerStream<'_>,
    start: u64,
    buffers: &Buffers,
) -> Result<Turn, LayerError> {
    let mut turn = Turn { start, size: 0, chunks: Vec::new(), next: 0 };
    while turn.size < TURN {
        let mut buffer = buffers.take();
        let next = stream.fill(&mut buffer, CHUNK)?;
        turn.size += buffer.len() as u64;
        turn.chunks.push(Chunk::Bytes(buffer));
        match next {
            Chunk::Bytes(()) => {}
            Chunk::File(content) => {
                turn.size += content.size();
                turn.chunks.push(Chunk::File(content));
            }
            Chunk::End => {
                turn.chunks.push(Chunk::End);
                break;
            }
        }
    }
    Ok(turn)
}

/// Skips the turn that another reader's [`read_turn`] reads; returns its size and whether it was
/// the last one.
fn skip_turn(
    stream: &mut LayerStream<'_>,
    scratch: &mut Vec<u8>,
) -> Result<(u64, bool), LayerError> {
    let mut size = 0;
    while size < TURN {
        match stream.skip(scratch, CHUNK)? {
            0 => return Ok((size, true)),
            skipped => size += skipped,
        }
    }
    Ok((size, false))
}

impl From<LayerError> for Stop {
    fn from(error: LayerError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}
