//! Threads that compress, and streams of blocks that they work on.

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

/// Threads, at most.
const MOST_THREADS: usize = 8;
/// Blocks of one stream that are under way, at most: as many as there are threads, within these.
const AHEAD: (usize, usize) = (2, 4);
/// The most memory for all threads; for what streams share, beside what each of them has anyway;
/// and for both together.
const THREADS: usize = 48 << 20;
const SHARED: usize = 24 << 20;
const BOTH: usize = 51 << 20;
/// What a buffer holds beyond a block: what a reader reads too much, and what compression adds.
const BEYOND: usize = 128 << 10;

/// Threads that compress blocks of any number of streams. They start with the first block and end
/// with the pool.
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
    /// The blocks under way, in the stream's order.
    answers: VecDeque<Receiver<Answer>>,
    /// The memory of all of them but one.
    share: Share,
}

struct Task {
    settings: Settings,
    block: Vec<u8>,
    answer: SyncSender<Answer>,
}

type Answer = io::Result<Vec<u8>>;

impl Pool {
    /// A pool for streams of these settings, on a machine with this many cores.
    pub fn new(settings: Settings, cores: usize) -> Self {
        let each = thread_memory(settings);
        let threads = cores.clamp(1, MOST_THREADS).min(THREADS / each);
        let block = settings.block();
        let buffers = Arc::new(Buffers::new(block + BEYOND));
        let (tasks, budget) = (OnceLock::new(), Budget::new(SHARED.min(BOTH - threads * each)));
        Self { threads, block, tasks, buffers, budget }
    }

    /// Bytes of a block of any stream.
    pub fn block(&self) -> usize {
        self.block
    }

    /// The memory that all streams share: for blocks beyond the first of each that are under way,
    /// and for what their users hold of them.
    pub fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// Buffers for a block each.
    pub fn buffers(&self) -> &Buffers {
        &self.buffers
    }

    fn send(&self, task: Task) -> io::Result<()> {
        match self.tasks.get_or_init(|| self.start()) {
            Ok(tasks) => tasks.send(task).map_err(|_| ended()),
            Err(kind) => Err(io::Error::new(*kind, ThreadError::from(io::Error::from(*kind)))),
        }
    }

    /// Starts the threads, which end when the sender of tasks is dropped. One is enough.
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
    /// An encoder for a stream, which hands the blocks on as they are where that is asked for.
    pub fn new(pool: &'a Pool, settings: Settings) -> Self {
        Self { pool, settings, answers: VecDeque::new(), share: Share::new(&pool.budget) }
    }

    /// Takes a block of [`Pool::block`] bytes. A stream ends with a block of fewer, possibly none.
    pub fn write(&mut self, block: Vec<u8>) -> io::Result<()> {
        let (answer, receiver) = sync_channel(1);
        self.answers.push_back(receiver);
        if self.settings.compression == Compression::None {
            return answer.send(Ok(block)).map_err(|_| ended());
        }
        self.pool.send(Task { settings: self.settings, block, answer })
    }

    /// Whether a block should be read before the next is written: as many are under way as threads
    /// can use, or as there is memory for. There always is for one.
    pub fn is_full(&mut self) -> bool {
        let blocks = self.answers.len();
        let more = (blocks * self.pool.block).saturating_sub(self.share.bytes());
        blocks >= self.pool.threads.clamp(AHEAD.0, AHEAD.1) || !self.share.grow(more)
    }

    /// The next block, compressed; `None` if none is under way.
    pub fn read(&mut self) -> io::Result<Option<Vec<u8>>> {
        let next = self.answers.pop_front();
        self.share.shrink_to(self.answers.len().saturating_sub(1) * self.pool.block);
        next.map(|answer| answer.recv().map_err(|_| ended())?).transpose()
    }
}

/// Compresses blocks as long as there may be more.
fn work(tasks: &Mutex<Receiver<Task>>, buffers: &Buffers) {
    loop {
        let task = tasks.lock().recv();
        let Ok(Task { settings, block, answer }) = task else { return };
        let mut out = buffers.take();
        let done = compress(settings, &block, &mut out);
        buffers.put(block);
        // Whoever asked may have given up.
        let _ = answer.send(done.map(|()| out));
    }
}

/// How much memory a thread takes at most, for the library's tables and a block of output.
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
    io::Error::other("a thread that compresses has ended")
}
