//! The body of a message, in each of the ways in which its end can be marked.

use std::io::{self, BufRead, Read};

use super::head::MAX_FIELDS;

/// The maximum length of the line before a chunk.
const MAX_CHUNK_LINE: u64 = 1 << 10;

/// A body being read.
#[derive(Debug)]
pub struct Body<R> {
    input: R,
    state: State,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    /// A number of bytes that are left.
    Length(u64),
    /// The number of bytes left of the current chunk, and whether the first one is still to come.
    Chunk { left: u64, first: bool },
    /// The body ends with the connection.
    Close,
}

impl<R: BufRead> Body<R> {
    /// A body of `length` bytes.
    pub fn of_length(input: R, length: u64) -> Self {
        Self { input, state: State::Length(length) }
    }

    /// A chunked body.
    pub fn chunked(input: R) -> Self {
        Self { input, state: State::Chunk { left: 0, first: true } }
    }

    /// A body that ends with the connection.
    pub fn to_end(input: R) -> Self {
        Self { input, state: State::Close }
    }

    /// Reads the line with the next chunk's size, after the end of the previous chunk.
    fn next_chunk(&mut self, first: bool) -> io::Result<u64> {
        if !first && !self.line()?.is_empty() {
            return Err(malformed());
        }
        let line = self.line()?;
        let digits = line.split(';').next().unwrap_or_default().trim();
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(malformed());
        }
        let size = u64::from_str_radix(digits, 16).map_err(|_| malformed())?;
        if size == 0 {
            // Trailer fields may follow, then an empty line.
            let mut fields = 0;
            while !self.line()?.is_empty() {
                fields += 1;
                if fields > MAX_FIELDS {
                    return Err(malformed());
                }
            }
            self.state = State::Length(0);
        }
        Ok(size)
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.input.by_ref().take(MAX_CHUNK_LINE).read_line(&mut line)?;
        if !line.ends_with('\n') {
            return Err(malformed());
        }
        Ok(line.trim_end().to_owned())
    }
}

impl<R: BufRead> Read for Body<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let State::Chunk { left: 0, first } = self.state {
            let left = self.next_chunk(first)?;
            if left > 0 {
                self.state = State::Chunk { left, first: false };
            }
        }
        let left = match &mut self.state {
            State::Close => return self.input.read(buffer),
            State::Length(0) => return Ok(0),
            State::Length(left) | State::Chunk { left, .. } => left,
        };
        let limit = buffer.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
        let count = self.input.read(&mut buffer[..limit])?;
        if count == 0 && limit > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        *left -= count as u64;
        Ok(count)
    }
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a chunk of the body is malformed")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunked(text: &str) -> io::Result<String> {
        let mut body = String::new();
        Body::chunked(text.as_bytes()).read_to_string(&mut body).map(|_| body)
    }

    #[test]
    fn bodies_end_where_they_say() {
        let mut input: &[u8] = b"abcdef";
        let mut body = String::new();
        Body::of_length(&mut input, 4).read_to_string(&mut body).unwrap();
        assert_eq!((&*body, input), ("abcd", &b"ef"[..]));
        assert_eq!(
            chunked("2\r\nab\r\n0A;x=y\r\n0123456789\r\n0\r\nt: 1\r\n\r\n").unwrap(),
            "ab0123456789"
        );
        assert_eq!(chunked("0\r\n\r\n").unwrap(), "");
    }

    #[test]
    fn malformed_bodies_are_errors() {
        for bad in [
            "",
            "g\r\n",
            "-1\r\n",
            "\r\n",
            "3\r\nab",
            "2\r\nabc\r\n0\r\n\r\n",
            "0\r\n",
            "fffffffffffffffff\r\n",
            &"1".repeat(5000),
            &format!("0\r\n{}\r\n", "t: 1\r\n".repeat(MAX_FIELDS + 1)),
        ] {
            assert!(chunked(bad).is_err(), "{bad}");
        }
        let mut body = Vec::new();
        assert!(Body::of_length(&b"abc"[..], 4).read_to_end(&mut body).is_err());
    }
}
