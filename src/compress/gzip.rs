//! gzip on several threads: the data is cut into blocks, each compressed for itself with the end
//! of the one before as its dictionary, and all of them together are one ordinary gzip member.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use flate2::{Compress, Crc, FlushCompress, Status};

/// Names the bytes that this module makes. A format break: to be changed with every constant here
/// and with the pinned versions of `flate2` and `zlib-rs` whenever that changes any output, as it
/// changes the digest of every compressed layer and each is uploaded once more.
pub const GZIP_FORMAT: &str = "gzip-1";

/// The usual level.
pub(super) const DEFAULT_LEVEL: u8 = 6;
/// Bytes of data that are compressed at a time. Part of the format.
const BLOCK: usize = 512 << 10;
/// Bytes before a block that it may refer to: deflate's window. Part of the format.
const DICTIONARY: usize = 32 << 10;
/// Magic number, deflate, no flags, no time, no hint at the level, no word about the system, so
/// that only the data decides. Part of the format.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// Compresses one stream.
#[derive(Debug)]
pub struct Encoder {
    level: u8,
    threads: usize,
    started: bool,
    block: Vec<u8>,
    dictionary: Vec<u8>,
    checksum: Crc,
    /// Where the threads take their blocks from; none are there before the second block.
    tasks: Option<Sender<Task>>,
    /// The answers to come, in the blocks' order.
    answers: VecDeque<Receiver<io::Result<Vec<u8>>>>,
}

struct Task {
    block: Block,
    answer: SyncSender<io::Result<Vec<u8>>>,
}

/// What a block's compressed form depends on.
struct Block {
    data: Vec<u8>,
    dictionary: Vec<u8>,
    level: u8,
    last: bool,
}

impl Encoder {
    pub(super) fn new(level: u8, threads: usize) -> Self {
        Self {
            level,
            threads: threads.max(1),
            started: false,
            block: Vec::new(),
            dictionary: Vec::new(),
            checksum: Crc::new(),
            tasks: None,
            answers: VecDeque::new(),
        }
    }

    pub(super) fn write(&mut self, mut data: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        self.checksum.update(data);
        while !data.is_empty() {
            // A full block waits for more data, as the last one is closed in another way.
            if self.block.len() == BLOCK {
                self.send_block(out)?;
            }
            let (front, rest) = data.split_at(data.len().min(BLOCK - self.block.len()));
            self.block.extend_from_slice(front);
            data = rest;
        }
        Ok(())
    }

    pub(super) fn finish(mut self, out: &mut Vec<u8>) -> io::Result<()> {
        self.start(out);
        while !self.answers.is_empty() {
            self.take_answer(out)?;
        }
        out.extend_from_slice(&self.next_block(true).compress()?);
        out.extend_from_slice(&self.checksum.sum().to_le_bytes());
        out.extend_from_slice(&self.checksum.amount().to_le_bytes());
        Ok(())
    }

    fn start(&mut self, out: &mut Vec<u8>) {
        if !self.started {
            self.started = true;
            out.extend_from_slice(&HEADER);
        }
    }

    /// Gives a block to the threads. As many as there are threads are under way, and one waits.
    fn send_block(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        self.start(out);
        let (answer, receiver) = sync_channel(1);
        let task = Task { block: self.next_block(false), answer };
        let tasks = self.tasks.get_or_insert_with(|| spawn(self.threads));
        tasks.send(task).map_err(|_| ended())?;
        self.answers.push_back(receiver);
        if self.answers.len() > self.threads { self.take_answer(out) } else { Ok(()) }
    }

    fn next_block(&mut self, last: bool) -> Block {
        let data = std::mem::take(&mut self.block);
        let tail = data[data.len().saturating_sub(DICTIONARY)..].to_vec();
        let dictionary = std::mem::replace(&mut self.dictionary, tail);
        Block { data, dictionary, level: self.level, last }
    }

    fn take_answer(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        if let Some(answer) = self.answers.pop_front() {
            out.extend_from_slice(&answer.recv().map_err(|_| ended())??);
        }
        Ok(())
    }
}

impl Block {
    /// The compressor's state is made anew for each block: a used one, even when it was reset and
    /// given the dictionary, makes bytes that depend on what it compressed before.
    fn compress(&self) -> io::Result<Vec<u8>> {
        let mut compressor = Compress::new(flate2::Compression::new(self.level.into()), false);
        if !self.dictionary.is_empty() {
            compressor.set_dictionary(&self.dictionary)?;
        }
        let flush = if self.last { FlushCompress::Finish } else { FlushCompress::Sync };
        let mut out = Vec::with_capacity(self.data.len() / 2 + 64);
        loop {
            let rest = &self.data[compressor.total_in() as usize..];
            let status = compressor.compress_vec(rest, &mut out, flush)?;
            let all_read = compressor.total_in() as usize == self.data.len();
            // Room that is left means that the compressor had no more to say.
            let done = match status {
                Status::StreamEnd => true,
                _ => !self.last && all_read && out.len() < out.capacity(),
            };
            if done {
                return Ok(out);
            }
            out.reserve(32 << 10);
        }
    }
}

/// Starts the threads, which end when the sender of tasks is dropped.
fn spawn(threads: usize) -> Sender<Task> {
    let (sender, receiver) = channel::<Task>();
    let receiver = Arc::new(Mutex::new(receiver));
    for _ in 0..threads {
        let receiver = Arc::clone(&receiver);
        thread::spawn(move || {
            loop {
                let task = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
                let Ok(Task { block, answer }) = task else { return };
                // Whoever asked may have given up.
                let _ = answer.send(block.compress());
            }
        });
    }
    sender
}

fn ended() -> io::Error {
    io::Error::other("a thread that compresses has ended")
}
