//! zstd by the reference library, always in its many-threaded mode.

use std::fmt;
use std::io;

use ::zstd::stream::raw::{CParameter, Encoder as RawEncoder, InBuffer, Operation, OutBuffer};

/// Names the bytes that this module makes. A format break: to be changed with every constant here
/// and with the pinned versions of `zstd` and `zstd-sys` whenever that changes any output, as it
/// changes the digest of every compressed layer and each is uploaded once more.
pub const ZSTD_FORMAT: &str = "zstd-1";

/// The usual level.
pub(super) const DEFAULT_LEVEL: u8 = 3;
/// Bytes that a thread compresses at a time; the library's own choice grows with the level and
/// takes much memory. Part of the format.
const JOB: u32 = 2 << 20;
/// Bytes of output that are made room for at a time.
const ROOM: usize = 128 << 10;

/// Compresses one stream.
pub struct Encoder(RawEncoder<'static>);

impl Encoder {
    pub(super) fn new(level: u8, threads: usize) -> io::Result<Self> {
        let mut encoder = RawEncoder::new(level.into())?;
        // Not to be left at 0, which makes other bytes than every other number does.
        encoder.set_parameter(CParameter::NbWorkers(threads.max(1) as u32))?;
        encoder.set_parameter(CParameter::JobSize(JOB))?;
        encoder.set_parameter(CParameter::ChecksumFlag(true))?;
        Ok(Self(encoder))
    }

    pub(super) fn write(&mut self, data: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        let mut data = InBuffer::around(data);
        while data.pos() < data.src.len() {
            with_room(out, |room| self.0.run(&mut data, room))?;
        }
        Ok(())
    }

    pub(super) fn finish(mut self, out: &mut Vec<u8>) -> io::Result<()> {
        // The data has all gone in before: a single call with data and end takes a path of its
        // own, which makes other bytes.
        while with_room(out, |room| self.0.finish(room, true))? > 0 {}
        Ok(())
    }
}

fn with_room(
    out: &mut Vec<u8>,
    work: impl FnOnce(&mut OutBuffer<'_, Vec<u8>>) -> io::Result<usize>,
) -> io::Result<usize> {
    out.reserve(ROOM);
    let position = out.len();
    work(&mut OutBuffer::around_pos(out, position))
}

impl fmt::Debug for Encoder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Encoder").finish_non_exhaustive()
    }
}
