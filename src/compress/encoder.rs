//! Threads that compress, and streams of blocks that they work on.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

use super::{BLOCK, Compression, Settings, gzip, zstd};

/// Blocks of one stream that are under way, at least and at most.
const AHEAD: (usize, usize) = (2, 4);
/// What a buffer holds: a block before or after, and what a reader reads beyond it.
const CAPACITY: usize = BLOCK + (128 << 10);

/// Threads that compress blocks of any number of streams. They start with the first block and end
/// with the pool.
#[derive(Debug)]
pub struct Pool {
    threads: usize,
    tasks: OnceLock<Sender<Task>>,
    buffers: Arc<Buffers>,
}

/// Compresses one stream, block by block.
#[derive(Debug)]
pub struct Encoder<'a> {
    pool: &'a Pool,
    settings: Settings,
    /// The blocks under way, in the stream's order.
    answers: VecDeque<Receiver<Answer>>,
}

struct Task {
    settings: Settings,
    block: Vec<u8>,
    answer: SyncSender<Answer>,
}

type Answer = io::Result<Vec<u8>>;

/// Buffers to be filled again.
#[derive(Debug, Default)]
struct Buffers(Mutex<Vec<Vec<u8>>>);

impl Pool {
    /// A pool for streams of these settings, on a machine with so many cores.
    pub fn new(settings: Settings, cores: usize) -> Self {
        let threads = cores.clamp(1, most_threads(settings));
        Self { threads, tasks: OnceLock::new(), buffers: Arc::default() }
    }

    /// An empty buffer, one that was used before if there is any.
    pub fn buffer(&self) -> Vec<u8> {
        self.buffers.take()
    }

    /// Gives a buffer back.
    pub fn recycle(&self, buffer: Vec<u8>) {
        self.buffers.lock().push(buffer);
    }

    fn send(&self, task: Task) -> io::Result<()> {
        self.tasks.get_or_init(|| self.spawn()).send(task).map_err(|_| ended())
    }

    /// Starts the threads, which end when the sender of tasks is dropped.
    fn spawn(&self) -> Sender<Task> {
        let (sender, receiver) = channel::<Task>();
        let receiver = Arc::new(Mutex::new(receiver));
        for _ in 0..self.threads {
            let (receiver, buffers) = (Arc::clone(&receiver), Arc::clone(&self.buffers));
            thread::spawn(move || {
                loop {
                    let task = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok(Task { settings, block, answer }) = task else { return };
                    let mut out = buffers.take();
                    let done = compress(settings, &block, &mut out);
                    buffers.lock().push(block);
                    // Whoever asked may have given up.
                    let _ = answer.send(done.map(|()| out));
                }
            });
        }
        sender
    }
}

impl<'a> Encoder<'a> {
    /// An encoder for a stream, which hands the blocks on as they are where that is asked for.
    pub fn new(pool: &'a Pool, settings: Settings) -> Self {
        Self { pool, settings, answers: VecDeque::new() }
    }

    /// Takes a block of [`BLOCK`] bytes. A stream ends with a block of fewer, possibly none.
    pub fn write(&mut self, block: Vec<u8>) -> io::Result<()> {
        let (answer, receiver) = sync_channel(1);
        self.answers.push_back(receiver);
        if self.settings.compression == Compression::None {
            return answer.send(Ok(block)).map_err(|_| ended());
        }
        self.pool.send(Task { settings: self.settings, block, answer })
    }

    /// Whether so many blocks are under way that one should be read before the next is written.
    pub fn is_full(&self) -> bool {
        self.answers.len() >= self.pool.threads.clamp(AHEAD.0, AHEAD.1)
    }

    /// The next block, compressed; nothing when none is under way.
    pub fn read(&mut self) -> io::Result<Option<Vec<u8>>> {
        let next = self.answers.pop_front();
        next.map(|answer| answer.recv().map_err(|_| ended())?).transpose()
    }
}

impl Buffers {
    fn lock(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Vec<u8> {
        let mut buffer = self.lock().pop().unwrap_or_default();
        buffer.clear();
        buffer.reserve(CAPACITY);
        buffer
    }
}

/// How many threads stay within some 40 MiB of memory; at the usual levels they keep up with any
/// network.
fn most_threads(settings: Settings) -> usize {
    match (settings.compression, settings.level) {
        (Compression::Zstd, 10..) => 2,
        (Compression::Zstd, 5..) | (Compression::Gzip, 10..) => 3,
        _ => 8,
    }
}

fn compress(settings: Settings, block: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    match settings.compression {
        Compression::None => out.extend_from_slice(block),
        Compression::Gzip => gzip::compress(block, settings.level, out)?,
        Compression::Zstd => zstd::compress(block, settings.level, out)?,
    }
    Ok(())
}

fn ended() -> io::Error {
    io::Error::other("a thread that compresses has ended")
}
