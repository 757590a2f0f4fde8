//! Parts of a blob, as requested with the header `Range`.

use std::ops::Range;

use rustix::fs::{SeekFrom, seek};

use crate::Error;
use crate::output::Writer;
use image::{Chunk, Content, ReadError};

/// How many bytes are read at a time.
const CHUNK: usize = 128 << 10;

/// What to send of a blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of it.
    Whole,
    /// These bytes.
    Part(Range<u64>),
    /// Nothing, as it does not have these bytes.
    Nothing,
}

impl Wanted {
    /// Parses the header for a blob of this size. The standard allows ignoring headers that are
    /// invalid or request several ranges.
    pub(super) fn parse(field: Option<&str>, size: u64) -> Self {
        let Some(range) = field.and_then(|field| field.trim().strip_prefix("bytes=")) else {
            return Self::Whole;
        };
        let Some((first, last)) = range.split_once('-') else { return Self::Whole };
        let (first, last) = (first.trim(), last.trim());
        let number = |text: &str| {
            text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten()
        };
        match (first, last) {
            ("", last) => match number(last) {
                None => Self::Whole,
                Some(0) => Self::Nothing,
                Some(_) if size == 0 => Self::Nothing,
                Some(count) => Self::Part(size.saturating_sub(count)..size),
            },
            (first, last) => {
                let Some(start) = number(first) else { return Self::Whole };
                let end = if last.is_empty() { Some(u64::MAX) } else { number(last) };
                match end {
                    None => Self::Whole,
                    Some(end) if end < start => Self::Whole,
                    Some(_) if start >= size => Self::Nothing,
                    Some(end) => Self::Part(start..end.saturating_add(1).min(size)),
                }
            }
        }
    }
}

/// Passes on a part of a blob.
#[derive(Debug)]
pub(super) struct Window {
    /// The number of bytes received so far.
    position: u64,
    wanted: Range<u64>,
}

impl Window {
    pub(super) fn new(wanted: Range<u64>) -> Self {
        Self { position: 0, wanted }
    }

    /// Whether the whole part was passed on.
    pub(super) fn is_done(&self) -> bool {
        self.position >= self.wanted.end
    }

    pub(super) fn put(
        &mut self,
        chunk: Chunk<&[u8]>,
        output: &mut dyn Writer,
    ) -> Result<(), Error> {
        match chunk {
            Chunk::Bytes(bytes) => self.put_bytes(bytes, output),
            Chunk::File(mut content) => self.put_file(&mut content, output),
            Chunk::End => Ok(()),
        }
    }

    fn put_bytes(&mut self, bytes: &[u8], output: &mut dyn Writer) -> Result<(), Error> {
        let length = bytes.len() as u64;
        let start = self.wanted.start.saturating_sub(self.position).min(length);
        let end = self.wanted.end.saturating_sub(self.position).min(length);
        self.position += length;
        Ok(output.put(&bytes[start as usize..end.max(start) as usize])?)
    }

    fn put_file(&mut self, content: &mut Content, output: &mut dyn Writer) -> Result<(), Error> {
        let ahead = self.wanted.start.saturating_sub(self.position).min(content.remaining());
        if ahead > 0 {
            let to = SeekFrom::Current(ahead.cast_signed());
            seek(content.file(), to).map_err(|error| ReadError::Io {
                action: "seek in",
                path: content.path().to_owned(),
                source: error.into(),
            })?;
            content.advance(ahead)?;
            self.position += ahead;
        }
        if self.position + content.remaining() <= self.wanted.end {
            self.position += content.remaining();
            return Ok(output.put_file(content)?);
        }
        let mut buffer = Vec::with_capacity(CHUNK);
        while content.remaining() > 0 && !self.is_done() {
            buffer.clear();
            content.read(&mut buffer)?;
            self.put_bytes(&buffer, output)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_understood() {
        for (field, wanted) in [
            ("bytes=0-", Wanted::Part(0..10)),
            ("bytes=2-4", Wanted::Part(2..5)),
            ("bytes=9-999", Wanted::Part(9..10)),
            ("bytes=-3", Wanted::Part(7..10)),
            ("bytes=-99", Wanted::Part(0..10)),
            ("bytes=5-18446744073709551615", Wanted::Part(5..10)),
            ("bytes=10-", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=4-2", Wanted::Whole),
            ("bytes=0-1,3-4", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("bytes=99999999999999999999-", Wanted::Whole),
            ("bytes=", Wanted::Whole),
            ("lines=1-2", Wanted::Whole),
        ] {
            assert_eq!(Wanted::parse(Some(field), 10), wanted, "{field}");
        }
        assert_eq!(Wanted::parse(None, 10), Wanted::Whole);
        assert_eq!(Wanted::parse(Some("bytes=-5"), 0), Wanted::Nothing);
    }
}
