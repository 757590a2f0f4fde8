//! A pool of compression threads, and encoders that feed it block by block.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread;

use parking_lot::Mutex;

use super::{Compression, Settings, gzip, zstd};
use crate::budget::{Budget, Share};
use crate::buffers::Buffers;
use crate::threads::ThreadError;

/// The maximum number of threads.
const MOST_THREADS: usize = 8;
/// The bounds for the number of one stream's blocks in flight, which otherwise equals the number of
/// threads.
const AHEAD: (usize, usize) = (2, 4);
/// The memory limits: for all threads; for what the streams share beyond each stream's own block;
/// and for both together.
const THREADS: usize = 48 << 20;
const SHARED: usize = 24 << 20;
const BOTH: usize = 51 << 20;
/// Capacity of a buffer beyond a block: for reading past its end, and for the overhead of
/// compression.
const BEYOND: usize = 128 << 10;

/// Threads that compress blocks of any number of streams. They start with the first block and end
/// when the pool is dropped.
#[derive(Debug)]
pub struct Pool {
    threads: usize,
    block: usize,
    tasks: OnceLock<Result<Sender<Task>, io::ErrorKind>>,
    buffers: Arc<Buffers>,
    budget: Arc<Budget>,
}

/// Compresses one stream, block by block.
#[derive(Debug)]
pub struct Encoder<'a> {
    pool: &'a Pool,
    settings: Settings,
    /// The blocks in flight, in the stream's order.
    answers: VecDeque<Receiver<Answer>>,
    /// The memory of all but one of them.
    share: Share,
}

struct Task {
    settings: Settings,
    block: Vec<u8>,
    answer: SyncSender<Answer>,
}

type Answer = io::Result<Vec<u8>>;

impl Pool {
    /// A pool for streams with these settings, on a machine with this many cores.
    pub fn new(settings: Settings, cores: usize) -> Self {
        let each = thread_memory(settings);
        let threads = cores.clamp(1, MOST_THREADS).min(THREADS / each);
        let block = settings.block();
        let buffers = Arc::new(Buffers::new(block + BEYOND));
        let (tasks, budget) = (OnceLock::new(), Budget::new(SHARED.min(BOTH - threads * each)));
        Self { threads, block, tasks, buffers, budget }
    }

    /// The block size of all streams, in bytes.
    pub fn block(&self) -> usize {
        self.block
    }

    /// The memory that all streams share: for each stream's blocks in flight beyond the first, and
    /// for what callers hold of them.
    pub fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// Buffers of one block each.
    pub fn buffers(&self) -> &Buffers {
        &self.buffers
    }

    fn send(&self, task: Task) -> io::Result<()> {
        match self.tasks.get_or_init(|| self.start()) {
            Ok(tasks) => tasks.send(task).map_err(|_| ended()),
            Err(kind) => Err(io::Error::new(*kind, ThreadError::from(io::Error::from(*kind)))),
        }
    }

    /// Starts the threads, which end when the task sender is dropped. One is enough.
    fn start(&self) -> Result<Sender<Task>, io::ErrorKind> {
        let (sender, receiver) = channel::<Task>();
        let receiver = Arc::new(Mutex::new(receiver));
        for thread in 0..self.threads {
            let (receiver, buffers) = (Arc::clone(&receiver), Arc::clone(&self.buffers));
            match thread::Builder::new().spawn(move || work(&receiver, &buffers)) {
                Err(error) if thread == 0 => return Err(error.kind()),
                Err(_) => break,
                Ok(_) => {}
            }
        }
        Ok(sender)
    }
}

impl<'a> Encoder<'a> {
    /// An encoder for a stream. Without compression, it passes the blocks on unchanged.
    pub fn new(pool: &'a Pool, settings: Settings) -> Self {
        Self { pool, settings, answers: VecDeque::new(), share: Share::new(&pool.budget) }
    }

    /// Takes a block of [`Pool::block`] bytes. A stream ends with a shorter block, which may be
    /// empty.
    pub fn write(&mut self, block: Vec<u8>) -> io::Result<()> {
        let (answer, receiver) = sync_channel(1);
        self.answers.push_back(receiver);
        if self.settings.compression == Compression::None {
            return answer.send(Ok(block)).map_err(|_| ended());
        }
        self.pool.send(Task { settings: self.settings, block, answer })
    }

    /// Whether a block should be read before the next one is written, because the threads have
    /// enough blocks in flight or the memory is used up. There is always memory for one.
    pub fn is_full(&mut self) -> bool {
        let blocks = self.answers.len();
        let more = (blocks * self.pool.block).saturating_sub(self.share.bytes());
        blocks >= self.pool.threads.clamp(AHEAD.0, AHEAD.1) || !self.share.grow(more)
    }

    /// The next compressed block; `None` if no block is in flight.
    pub fn read(&mut self) -> io::Result<Option<Vec<u8>>> {
        let next = self.answers.pop_front();
        self.share.shrink_to(self.answers.len().saturating_sub(1) * self.pool.block);
        next.map(|answer| answer.recv().map_err(|_| ended())?).transpose()
    }
}

/// Compresses blocks until the pool is dropped.
fn work(tasks: &Mutex<Receiver<Task>>, buffers: &Buffers) {
    loop {
        let task = tasks.lock().recv();
        let Ok(Task { settings, block, answer }) = task else { return };
        let mut out = buffers.take();
        let done = compress(settings, &block, &mut out);
        buffers.put(block);
        // The receiver may be gone.
        let _ = answer.send(done.map(|()| out));
    }
}

/// The most memory that a thread needs, for the library's tables and a block of output.
fn thread_memory(settings: Settings) -> usize {
    let mib = match (settings.compression, settings.level) {
        (Compression::Zstd, 10..) => 24,
        (Compression::Zstd, 9) => 20,
        (Compression::Zstd, 5..) => 12,
        (Compression::Zstd, _) => 7,
        (Compression::Gzip, 10..) => 16,
        _ => 2,
    };
    mib << 20
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
    io::Error::other("a compression thread has ended")
}
