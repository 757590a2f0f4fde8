//! The head of a message: its first line and its fields.

use std::io::{self, BufRead};
use std::time::Instant;

use thiserror::Error;

/// Bytes of a whole head.
const MAX_BYTES: usize = 16 << 10;
/// Fields of a head.
const MAX_FIELDS: usize = 100;

/// The head of a request or response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The first line.
    pub line: String,
    /// The fields, their names in lower case.
    fields: Vec<(String, String)>,
}

/// Why there is no head.
#[derive(Debug, Error)]
pub enum HeadError {
    /// The other side has gone.
    #[error("the connection was closed")]
    Closed,
    /// It takes too long.
    #[error("the other side sends nothing any more")]
    TimedOut,
    /// More than anybody needs.
    #[error("the head of the message is too large")]
    TooLarge,
    /// Not HTTP.
    #[error("the message is not HTTP/1.1")]
    Malformed,
    /// The kernel refused.
    #[error("the connection broke")]
    Io(#[source] io::Error),
}

impl Head {
    /// Reads a head, up to the empty line after it. Whoever has not sent it at the deadline,
    /// byte by byte perhaps, is not waited for.
    pub fn read(input: &mut impl BufRead, deadline: Option<Instant>) -> Result<Self, HeadError> {
        let mut left = MAX_BYTES;
        // Empty lines before the first one are allowed, for the sake of old clients.
        let mut line = String::new();
        while line.is_empty() {
            line = read_line(input, &mut left, deadline)?;
        }
        let mut fields = Vec::new();
        loop {
            let field = read_line(input, &mut left, deadline)?;
            if field.is_empty() {
                return Ok(Self { line, fields });
            }
            if fields.len() == MAX_FIELDS {
                return Err(HeadError::TooLarge);
            }
            let (name, value) = field.split_once(':').ok_or(HeadError::Malformed)?;
            // A space before the colon, or a continued line, has led proxies astray before.
            if name.is_empty() || name.contains([' ', '\t']) {
                return Err(HeadError::Malformed);
            }
            fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    /// The value of a field, given in lower case.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The entries of a field that is a list; empty ones are none.
    fn entries(&self, name: &str) -> impl Iterator<Item = &str> {
        let values = self.fields.iter().filter(move |(known, _)| known == name);
        let entries = values.flat_map(|(_, value)| value.split(',')).map(str::trim);
        entries.filter(|entry| !entry.is_empty())
    }

    /// Whether a field that is a list holds a word.
    pub fn lists(&self, name: &str, word: &str) -> bool {
        self.entries(name).any(|entry| entry.eq_ignore_ascii_case(word))
    }

    /// Whether whoever sent this takes documents of a media type.
    pub fn accepts(&self, media_type: &str) -> bool {
        // Preferences (`;q=`) do not matter where there is one document of each type.
        let mut ranges = self.entries("accept").map(|entry| entry.split(';').next()).peekable();
        let kind = media_type.split('/').next();
        ranges.peek().is_none()
            || ranges.flatten().any(|range| {
                let range = range.trim();
                range.eq_ignore_ascii_case(media_type)
                    || range == "*/*"
                    || range.strip_suffix("/*").is_some_and(|range| Some(range) == kind)
            })
    }

    /// How long the body is said to be; an error if that is no number, or said in two ways.
    pub fn content_length(&self) -> Result<Option<u64>, HeadError> {
        let mut all = self.fields.iter().filter(|(name, _)| name == "content-length");
        let Some((_, first)) = all.next() else { return Ok(None) };
        if all.any(|(_, other)| other != first) || !first.bytes().all(|b| b.is_ascii_digit()) {
            return Err(HeadError::Malformed);
        }
        first.parse().map(Some).map_err(|_| HeadError::Malformed)
    }
}

/// A line without its end.
fn read_line(
    input: &mut impl BufRead,
    left: &mut usize,
    deadline: Option<Instant>,
) -> Result<String, HeadError> {
    let mut line = Vec::new();
    loop {
        if deadline.is_some_and(|deadline| Instant::now() > deadline) {
            return Err(HeadError::TimedOut);
        }
        let available = match input.fill_buf() {
            Ok([]) => return Err(HeadError::Closed),
            Ok(available) => available,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error)
                if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) =>
            {
                return Err(HeadError::TimedOut);
            }
            Err(error) => return Err(HeadError::Io(error)),
        };
        let end = available.iter().position(|&byte| byte == b'\n');
        let taken = end.map_or(available.len(), |end| end + 1);
        *left = left.checked_sub(taken).ok_or(HeadError::TooLarge)?;
        line.extend_from_slice(&available[..taken]);
        input.consume(taken);
        if end.is_some() {
            line.pop();
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            return String::from_utf8(line).map_err(|_| HeadError::Malformed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_up_to_their_end() {
        let mut input: &[u8] = b"\r\nGET / HTTP/1.1\r\nHost: x\r\nConnection: a, Close\n\r\nrest";
        let head = Head::read(&mut input, None).unwrap();
        assert_eq!(head.line, "GET / HTTP/1.1");
        assert_eq!(head.field("host"), Some("x"));
        assert!(head.lists("connection", "close"));
        assert_eq!(head.content_length().unwrap(), None);
        assert_eq!(input, b"rest");
    }

    #[test]
    fn media_types_are_accepted_by_name_and_by_range() {
        for (fields, accepted) in [
            ("", true),
            ("Accept: a/b\r\n", true),
            ("Accept: x/y, A/B;q=0.5\r\n", true),
            ("Accept: x/y\r\nAccept: a/*\r\n", true),
            ("Accept: */*\r\n", true),
            ("Accept: a/bc\r\n", false),
            ("Accept: x/*, a\r\n", false),
            ("Accept:\r\n", true),
        ] {
            let text = format!("x\r\n{fields}\r\n");
            let head = Head::read(&mut text.as_bytes(), None).unwrap();
            assert_eq!(head.accepts("a/b"), accepted, "{fields}");
        }
    }

    #[test]
    fn hostile_heads_are_refused() {
        let fields = "a: b\r\n".repeat(200);
        for bad in [
            "",
            "GET / HTTP/1.1\r\n",
            "x\r\n : y\r\n\r\n",
            "x\r\nname : y\r\n\r\n",
            "x\r\n continued\r\n\r\n",
            "x\r\nno colon\r\n\r\n",
            &format!("x\r\n{fields}\r\n"),
            &"x".repeat(1 << 20),
        ] {
            assert!(Head::read(&mut bad.as_bytes(), None).is_err());
        }
        for length in ["-1", "+1", "0x1", "99999999999999999999", "1\r\nContent-Length: 2"] {
            let text = format!("x\r\nContent-Length: {length}\r\n\r\n");
            let head = Head::read(&mut text.as_bytes(), None).unwrap();
            assert!(head.content_length().is_err(), "{length}");
        }
    }
}
