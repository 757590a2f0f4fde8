//! tar-split: the parts of a tar file that are not in its unpacked tree.
//!
//! containers/storage stores a layer unpacked, and next to it the tar-split: the bytes of all
//! headers and padding, and a checksum of every file's content. From both it reassembles the
//! layer's tar file, byte for byte. The format is that of github.com/vbatts/tar-split: one JSON
//! object per line, which is either a segment of the tar file (`"type":2`, with its bytes in
//! base64) or a member (`"type":1`, with its name, its size, and the CRC-64 of its content),
//! numbered from 0.

mod line;
mod member;

use thiserror::Error;

use line::Line;
use member::Extensions;

use crate::tar::{BLOCK, padding};

/// The largest extended header that is read; those of store paths have a few hundred bytes.
const MAX_EXTENSION: u64 = 1 << 20;
/// The size limit for segments of data after the archive's end.
const MAX_SEGMENT: usize = 1 << 20;

/// Makes the tar-split of a tar file that it gets in pieces.
#[derive(Debug)]
pub struct TarSplit {
    /// The number of the next line.
    position: u64,
    /// Bytes for the next segment.
    segment: Vec<u8>,
    state: State,
    /// The contents of extended headers for the next member.
    extensions: Extensions,
    /// The checksum of the content so far.
    checksum: crc_fast::Digest,
}

/// A tar file for which no tar-split can be made, because it has members that layers usually do
/// not.
#[derive(Debug, Error)]
#[error("the tar file has a member that {0}")]
pub struct Unusual(&'static str);

#[derive(Debug)]
enum State {
    /// In a header of 512 bytes, whose first bytes are at the end of the segment.
    Header { missing: usize },
    /// In an extended header's records and their padding.
    Extension { typeflag: u8, size: usize, missing: usize },
    /// In a file's content.
    Content { name: Vec<u8>, size: u64, missing: u64 },
    /// In the padding after it.
    Padding { missing: usize },
    /// After the first block of zeros.
    FirstZeros { missing: usize },
    /// After the second.
    End,
}

/// Go's `crc64.ISO`.
const CRC: crc_fast::CrcAlgorithm = crc_fast::CrcAlgorithm::Crc64GoIso;

const HEADER: State = State::Header { missing: BLOCK as usize };

impl Default for TarSplit {
    fn default() -> Self {
        Self {
            position: 0,
            segment: Vec::new(),
            state: HEADER,
            extensions: Extensions::default(),
            checksum: crc_fast::Digest::new(CRC),
        }
    }
}

impl TarSplit {
    /// Takes the next bytes of the tar file, and appends the lines that they complete.
    ///
    /// # Errors
    ///
    /// If it is not a tar file, or has members that need more than this, such as sparse files.
    pub fn update(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Unusual> {
        while !bytes.is_empty() {
            let used = self.advance(bytes, out)?;
            bytes = &bytes[used..];
        }
        Ok(())
    }

    /// Appends the last lines.
    ///
    /// # Errors
    ///
    /// If the tar file ended within a member.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<(), Unusual> {
        let complete = match self.state {
            State::Header { missing } => missing == BLOCK as usize,
            State::End => true,
            _ => false,
        };
        if !complete {
            return Err(Unusual("is cut off"));
        }
        if !self.segment.is_empty() {
            self.put_segment(out);
        }
        // The original library writes an empty one at the end.
        self.put_segment(out);
        Ok(())
    }

    /// Processes some of the bytes, and returns how many.
    fn advance(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<usize, Unusual> {
        let used = match &mut self.state {
            State::Header { missing }
            | State::Extension { missing, .. }
            | State::Padding { missing }
            | State::FirstZeros { missing } => {
                let used = bytes.len().min(*missing);
                self.segment.extend_from_slice(&bytes[..used]);
                *missing -= used;
                if *missing > 0 {
                    return Ok(used);
                }
                used
            }
            State::Content { missing, .. } => {
                let used = usize::try_from(*missing).unwrap_or(usize::MAX).min(bytes.len());
                self.checksum.update(&bytes[..used]);
                *missing -= used as u64;
                if *missing > 0 {
                    return Ok(used);
                }
                used
            }
            State::End => {
                let used = bytes.len().min(MAX_SEGMENT - self.segment.len());
                self.segment.extend_from_slice(&bytes[..used]);
                if self.segment.len() == MAX_SEGMENT {
                    self.put_segment(out);
                }
                return Ok(used);
            }
        };
        self.state = match std::mem::replace(&mut self.state, State::End) {
            State::Header { .. } => self.header(out)?,
            State::Extension { typeflag, size, .. } => {
                let start = self.segment.len() - size.next_multiple_of(BLOCK as usize);
                self.extensions.add(typeflag, &self.segment[start..][..size])?;
                HEADER
            }
            State::Content { name, size, .. } => {
                let checksum = self.checksum.finalize();
                self.put_line(&Line::Member { name: &name, size, checksum }, out);
                match padding(size).len() {
                    0 => HEADER,
                    missing => State::Padding { missing },
                }
            }
            State::Padding { .. } => HEADER,
            State::FirstZeros { .. } => {
                if !is_zero(self.last_block()) {
                    return Err(Unusual("has no header"));
                }
                self.put_segment(out);
                State::End
            }
            State::End => State::End,
        };
        Ok(used)
    }

    /// The state after the header at the end of the segment.
    fn header(&mut self, out: &mut Vec<u8>) -> Result<State, Unusual> {
        if is_zero(self.last_block()) {
            return Ok(State::FirstZeros { missing: BLOCK as usize });
        }
        let member = member::read(self.last_block(), &self.extensions)?;
        if member.is_extension() {
            if member.size > MAX_EXTENSION {
                return Err(Unusual("has an extended header of more than 1 MiB"));
            }
            let size = member.size as usize;
            return Ok(match size.next_multiple_of(BLOCK as usize) {
                0 => HEADER,
                missing => State::Extension { typeflag: member.typeflag, size, missing },
            });
        }
        self.extensions = Extensions::default();
        self.put_segment(out);
        if member.size == 0 {
            self.put_line(&Line::Member { name: &member.name, size: 0, checksum: 0 }, out);
            return Ok(HEADER);
        }
        self.checksum = crc_fast::Digest::new(CRC);
        let (name, size) = (member.name, member.size);
        Ok(State::Content { name, size, missing: size })
    }

    fn last_block(&self) -> &[u8] {
        &self.segment[self.segment.len() - BLOCK as usize..]
    }

    fn put_segment(&mut self, out: &mut Vec<u8>) {
        let mut segment = std::mem::take(&mut self.segment);
        self.put_line(&Line::Segment(&segment), out);
        segment.clear();
        self.segment = segment;
    }

    fn put_line(&mut self, line: &Line<'_>, out: &mut Vec<u8>) {
        line.put(self.position, out);
        self.position += 1;
    }
}

fn is_zero(block: &[u8]) -> bool {
    block.iter().all(|&byte| byte == 0)
}

#[cfg(test)]
mod tests;
