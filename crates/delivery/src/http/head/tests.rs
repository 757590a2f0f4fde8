//! Valid heads, and those of hostile clients.

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
    let mut input: &[u8] = b"\r\n\nGET /a?b=%3A HTTP/1.1\r\nHost: x\r\nconnection: y\r\n\r\nrest";
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

/// Sends a head byte by byte, with a pause before each.
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
