//! The heads of messages: their first lines and their fields.

use std::io::{self, BufRead};
use std::time::Instant;

use ::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use httparse::{EMPTY_HEADER, Header, Request, Response};
use thiserror::Error;

use super::Fields;

/// Bytes of a whole head.
const MAX_BYTES: usize = 16 << 10;
/// Fields of a head.
pub(super) const MAX_FIELDS: usize = 100;

/// The head of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHead {
    /// What is to be done.
    pub method: Method,
    /// With what: a path and a query, as they were sent.
    pub target: String,
    /// HTTP/1.0 or HTTP/1.1.
    pub version: Version,
    /// All else.
    pub fields: Fields,
}

/// The head of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    /// How it went.
    pub status: StatusCode,
    /// HTTP/1.0 or HTTP/1.1.
    pub version: Version,
    /// All else.
    pub fields: Fields,
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
    /// The first line is something else.
    #[error("it is not HTTP")]
    NotHttp,
    /// The first line is HTTP's, what follows is not.
    #[error("the message is not HTTP/1.1")]
    Malformed,
    /// The kernel refused.
    #[error("the connection broke")]
    Io(#[source] io::Error),
}

impl RequestHead {
    /// Reads a head, up to the empty line after it. Whoever has not sent it at the deadline,
    /// byte by byte perhaps, is not waited for.
    pub fn read(input: &mut impl BufRead, deadline: Option<Instant>) -> Result<Self, HeadError> {
        read_head(input, deadline, |bytes| {
            let mut fields = [EMPTY_HEADER; MAX_FIELDS];
            let mut head = Request::new(&mut fields);
            if head.parse(bytes)?.is_partial() {
                return Ok(None);
            }
            let method = head.method.and_then(|method| method.parse().ok());
            Ok(Some(Self {
                method: method.ok_or(HeadError::NotHttp)?,
                target: head.path.ok_or(HeadError::NotHttp)?.to_owned(),
                version: version(head.version),
                fields: collect(head.headers)?,
            }))
        })
    }
}

impl ResponseHead {
    /// Reads a head, up to the empty line after it, in the same way as that of a request.
    pub fn read(input: &mut impl BufRead, deadline: Option<Instant>) -> Result<Self, HeadError> {
        read_head(input, deadline, |bytes| {
            let mut fields = [EMPTY_HEADER; MAX_FIELDS];
            let mut head = Response::new(&mut fields);
            if head.parse(bytes)?.is_partial() {
                return Ok(None);
            }
            let status = head.code.and_then(|status| StatusCode::from_u16(status).ok());
            Ok(Some(Self {
                status: status.ok_or(HeadError::NotHttp)?,
                version: version(head.version),
                fields: collect(head.headers)?,
            }))
        })
    }
}

/// Reads a head line by line. It is parsed anew with each line, of which [`MAX_FIELDS`] lets
/// there be few, so that what is not HTTP shows at once.
fn read_head<T>(
    input: &mut impl BufRead,
    deadline: Option<Instant>,
    parse: impl Fn(&[u8]) -> Result<Option<T>, HeadError>,
) -> Result<T, HeadError> {
    let (mut head, mut left) = (Vec::new(), MAX_BYTES);
    loop {
        read_line(input, &mut head, &mut left, deadline)?;
        // Empty lines before the first one are allowed, for the sake of old clients.
        if matches!(&*head, b"\n" | b"\r\n") {
            head.clear();
        } else if let Some(parsed) = parse(&head)? {
            return Ok(parsed);
        }
    }
}

/// Adds a line, with its end, to what was read of a head.
fn read_line(
    input: &mut impl BufRead,
    head: &mut Vec<u8>,
    left: &mut usize,
    deadline: Option<Instant>,
) -> Result<(), HeadError> {
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
        head.extend_from_slice(&available[..taken]);
        input.consume(taken);
        if end.is_some() {
            return Ok(());
        }
    }
}

fn version(minor: Option<u8>) -> Version {
    if minor == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 }
}

fn collect(found: &[Header<'_>]) -> Result<Fields, HeadError> {
    let mut fields = HeaderMap::with_capacity(found.len());
    for Header { name, value } in found {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| HeadError::Malformed)?;
        let value = HeaderValue::from_bytes(value).map_err(|_| HeadError::Malformed)?;
        fields.append(name, value);
    }
    Ok(Fields(fields))
}

impl From<httparse::Error> for HeadError {
    fn from(error: httparse::Error) -> Self {
        use httparse::Error;
        match error {
            Error::Status | Error::Token | Error::Version => Self::NotHttp,
            Error::TooManyHeaders => Self::TooLarge,
            Error::HeaderName | Error::HeaderValue | Error::NewLine => Self::Malformed,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ::http::header::{CONNECTION, HOST};

    use super::*;

    fn request(mut text: &[u8]) -> Result<RequestHead, HeadError> {
        RequestHead::read(&mut text, None)
    }

    fn response(mut text: &[u8]) -> Result<ResponseHead, HeadError> {
        ResponseHead::read(&mut text, None)
    }

    #[test]
    fn requests_are_read_up_to_the_end_of_their_heads() {
        let mut input: &[u8] =
            b"\r\n\nGET /a?b=%3A HTTP/1.1\r\nHost: x\r\nconnection: y\r\n\r\nrest";
        let head = RequestHead::read(&mut input, None).unwrap();
        assert_eq!((&head.method, &*head.target), (&Method::GET, "/a?b=%3A"));
        assert_eq!(head.version, Version::HTTP_11);
        assert_eq!(head.fields.get(HOST), Some("x"));
        assert_eq!(head.fields.get(CONNECTION), Some("y"));
        assert_eq!(input, b"rest");
        let head = request(b"patch / HTTP/1.0\n\n").unwrap();
        assert_eq!((head.method.as_str(), head.version), ("patch", Version::HTTP_10));
    }

    #[test]
    fn responses_are_read_up_to_the_end_of_their_heads() {
        let mut input: &[u8] = b"HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\nrest";
        let head = ResponseHead::read(&mut input, None).unwrap();
        assert_eq!((head.status, head.version), (StatusCode::NOT_FOUND, Version::HTTP_11));
        assert!(head.fields.lists(CONNECTION, "close"));
        assert_eq!(input, b"rest");
        for text in ["HTTP/1.0 200\r\n\r\n", "HTTP/1.0 200 \r\n\r\n", "HTTP/1.0 200 \u{e9}\n\n"] {
            assert_eq!(response(text.as_bytes()).unwrap().status, StatusCode::OK, "{text}");
        }
    }

    #[test]
    fn what_is_not_http_is_refused_at_its_first_line() {
        for bad in [
            "x\r\n",
            "GET\r\n",
            "GET /\r\n",
            " GET / HTTP/1.1\r\n",
            "GET  / HTTP/1.1\r\n",
            "GET / / HTTP/1.1\r\n",
            "GET / HTTP/1.2\r\n",
            "GET / HTTP/2.0\r\n",
            "GET / http/1.1\r\n",
            "\u{1}\u{2}\r\n",
            "HTTP/1.1 200 OK\r\n",
        ] {
            assert!(matches!(request(bad.as_bytes()), Err(HeadError::NotHttp)), "{bad}");
        }
        for bad in [
            "220 smtp\r\n",
            "SSH-2.0-x\r\n",
            "HTTP/2.0 200 OK\r\n",
            "HTTP/1.1 20 OK\r\n",
            "HTTP/1.1 2000 OK\r\n",
            "HTTP/1.1 000 OK\r\n\r\n",
            "HTTP/1.1 200 \0\r\n",
            "GET / HTTP/1.1\r\n",
        ] {
            assert!(matches!(response(bad.as_bytes()), Err(HeadError::NotHttp)), "{bad}");
        }
    }

    #[test]
    fn hostile_fields_are_refused() {
        for bad in [
            " : y\r\n",
            ": y\r\n",
            "name : y\r\n",
            "name\t: y\r\n",
            " continued: x\r\n",
            "name: x\r\n continued\r\n",
            "name: x\r\n\tcontinued\r\n",
            "no colon\r\n",
            "name: a\0b\r\n",
            "name: a\rb: c\r\n",
            "na\u{e9}me: x\r\n",
            "(name): x\r\n",
        ] {
            let text = format!("GET / HTTP/1.1\r\n{bad}\r\n");
            assert!(matches!(request(text.as_bytes()), Err(HeadError::Malformed)), "{bad}");
            let text = format!("HTTP/1.1 200 OK\r\n{bad}\r\n");
            assert!(matches!(response(text.as_bytes()), Err(HeadError::Malformed)), "{bad}");
        }
    }

    #[test]
    fn heads_that_do_not_end_are_not_read_to_their_end() {
        for bad in ["", "\r\n", "GET / HTTP/1.1", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\na: b"] {
            assert!(matches!(request(bad.as_bytes()), Err(HeadError::Closed)), "{bad}");
        }
        let with_fields = |count| format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(count));
        assert_eq!(request(with_fields(MAX_FIELDS).as_bytes()).unwrap().fields.0.len(), MAX_FIELDS);
        let long = |bytes| format!("GET / HTTP/1.1\r\na: {}\r\n\r\n", "b".repeat(bytes));
        assert!(request(long(MAX_BYTES - 30).as_bytes()).is_ok());
        for bad in [
            &with_fields(MAX_FIELDS + 1),
            &long(MAX_BYTES),
            &"x".repeat(1 << 20),
            &"\r\n".repeat(1 << 20),
        ] {
            assert!(matches!(request(bad.as_bytes()), Err(HeadError::TooLarge)));
        }
    }

    /// Sends a byte of a head at a time, each after a pause.
    struct Slow<'a>(&'a [u8]);

    impl io::Read for Slow<'_> {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            unreachable!("heads are read from the buffer")
        }
    }

    impl BufRead for Slow<'_> {
        fn fill_buf(&mut self) -> io::Result<&[u8]> {
            std::thread::sleep(Duration::from_millis(1));
            Ok(&self.0[..1])
        }

        fn consume(&mut self, bytes: usize) {
            self.0 = &self.0[bytes..];
        }
    }

    #[test]
    fn whoever_sends_byte_by_byte_is_not_waited_for() {
        let text = format!("GET / HTTP/1.1\r\na: {}", "b".repeat(MAX_BYTES));
        let deadline = Some(Instant::now() + Duration::from_millis(50));
        let read = RequestHead::read(&mut Slow(text.as_bytes()), deadline);
        assert!(matches!(read, Err(HeadError::TimedOut)), "{read:?}");
        let mut all = Slow(b"GET / HTTP/1.1\r\n\r\nrest");
        assert!(RequestHead::read(&mut all, None).is_ok());
        assert_eq!(all.0, b"rest");
    }
}
