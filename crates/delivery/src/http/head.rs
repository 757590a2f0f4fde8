//! The heads of messages: their first lines and their fields.

#[cfg(test)]
mod tests;

use std::io::{self, BufRead};
use std::time::Instant;

use ::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use httparse::{EMPTY_HEADER, Header, Request, Response};
use thiserror::Error;

use super::Fields;

/// The maximum size of a head in bytes.
const MAX_BYTES: usize = 16 << 10;
/// The maximum number of fields in a head.
pub(super) const MAX_FIELDS: usize = 100;

/// The head of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHead {
    /// The request's method.
    pub method: Method,
    /// The path and query, as they were sent.
    pub target: String,
    /// HTTP/1.0 or HTTP/1.1.
    pub version: Version,
    /// The fields.
    pub fields: Fields,
}

/// The head of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    /// The status code.
    pub status: StatusCode,
    /// HTTP/1.0 or HTTP/1.1.
    pub version: Version,
    /// The fields.
    pub fields: Fields,
}

/// Why a head cannot be read.
#[derive(Debug, Error)]
pub enum HeadError {
    /// The peer closed the connection.
    #[error("the connection was closed")]
    Closed,
    /// The head did not arrive in time.
    #[error("the other side stopped sending")]
    TimedOut,
    /// The head has too many bytes or fields.
    #[error("the head of the message is too large")]
    TooLarge,
    /// The first line is not HTTP.
    #[error("not an HTTP message")]
    NotHttp,
    /// The first line is HTTP, but what follows is not.
    #[error("the message is not valid HTTP/1.1")]
    Malformed,
    /// There are too many informational responses before the final one.
    #[error("too many informational answers before the final one")]
    NotFinal,
    /// The connection failed.
    #[error("the connection broke")]
    Io(#[source] io::Error),
}

impl RequestHead {
    /// Reads a head up to and including the empty line that ends it. Fails at the deadline even if
    /// bytes are still trickling in.
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
    /// Reads a head in the same way as that of a request.
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

/// Reads a head line by line. It is parsed again with each line, so that input other than HTTP is
/// detected early; [`MAX_FIELDS`] limits the number of lines.
fn read_head<T>(
    input: &mut impl BufRead,
    deadline: Option<Instant>,
    parse: impl Fn(&[u8]) -> Result<Option<T>, HeadError>,
) -> Result<T, HeadError> {
    let (mut head, mut left) = (Vec::new(), MAX_BYTES);
    loop {
        read_line(input, &mut head, &mut left, deadline)?;
        // Empty lines before the first one are allowed for the sake of old clients.
        if matches!(&*head, b"\n" | b"\r\n") {
            head.clear();
        } else if let Some(parsed) = parse(&head)? {
            return Ok(parsed);
        }
    }
}

/// Reads a line, including its end, and appends it to the head.
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
