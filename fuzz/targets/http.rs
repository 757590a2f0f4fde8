//! HTTP messages. The result must not depend on the pieces in which a message arrives.

use std::io::{self, BufReader, Read};

use delivery::http::{Body, RequestHead, ResponseHead, header};

/// Returns only a few bytes at a time.
struct Slowly<'a>(&'a [u8], usize);

impl Read for Slowly<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let length = out.len().min(self.1);
        self.0.read(&mut out[..length])
    }
}

/// Heads of requests and responses.
pub fn head(input: &[u8]) {
    let at_once = |rest: &mut &[u8]| RequestHead::read(rest, None).ok();
    let slowly = |rest: &mut BufReader<Slowly<'_>>| RequestHead::read(rest, None).ok();
    if let Some(head) = compare(input, at_once, slowly) {
        let _ = head.fields.content_length();
        let _ = head.fields.accepts("application/vnd.oci.image.index.v1+json");
        let _ = head.fields.lists(header::CONNECTION, "close");
        assert!(head.target.len() <= 16 << 10);
    }
    let at_once = |rest: &mut &[u8]| ResponseHead::read(rest, None).ok();
    let slowly = |rest: &mut BufReader<Slowly<'_>>| ResponseHead::read(rest, None).ok();
    if let Some(head) = compare(input, at_once, slowly) {
        assert!((100..1000).contains(&head.status.as_u16()));
    }
}

/// Chunked bodies, and bodies of a given length.
pub fn chunks(input: &[u8]) {
    let read = |body: &mut dyn Read| {
        let mut bytes = Vec::new();
        body.read_to_end(&mut bytes).ok().map(|_| bytes)
    };
    let at_once = |rest: &mut &[u8]| read(&mut Body::chunked(rest));
    let slowly = |rest: &mut BufReader<Slowly<'_>>| read(&mut Body::chunked(rest));
    if let Some(body) = compare(input, at_once, slowly) {
        assert!(body.len() <= input.len());
        let mut encoded = Vec::new();
        for chunk in body.chunks(7) {
            encoded.extend(format!("{:x}\r\n", chunk.len()).as_bytes());
            encoded.extend([chunk, b"\r\n"].concat());
        }
        encoded.extend(b"0\r\n\r\n");
        assert_eq!(read(&mut Body::chunked(&*encoded)), Some(body));
    }
    let length = input.first().copied().unwrap_or_default().into();
    let body = read(&mut Body::of_length(input, length));
    assert_eq!(body.as_deref(), input.get(..length as usize));
}

/// Reads the same input in different pieces, and checks that result and end are the same.
fn compare<T: PartialEq + std::fmt::Debug>(
    input: &[u8],
    at_once: impl Fn(&mut &[u8]) -> Option<T>,
    slowly: impl Fn(&mut BufReader<Slowly<'_>>) -> Option<T>,
) -> Option<T> {
    let mut rest = input;
    let read = at_once(&mut rest);
    for length in [1, 3] {
        let mut slow = BufReader::with_capacity(2, Slowly(input, length));
        assert_eq!(slowly(&mut slow), read, "in pieces of {length}");
        let mut left = Vec::new();
        slow.read_to_end(&mut left).unwrap();
        assert!(read.is_none() || left == rest, "in pieces of {length}");
    }
    read
}
