//! Bodies of requests and answers.

use std::io::{self, Read};

use ureq::Body;

use super::{Answer, Failure};

/// A body that can be sent again, in consecutive parts.
pub(in crate::registry) type Payload<'a> = &'a [&'a [u8]];

/// Reads the parts one after the other.
pub fn read_parts<'a>(parts: &[&'a [u8]]) -> Box<dyn Read + 'a> {
    let nothing: Box<dyn Read> = Box::new(io::empty());
    parts.iter().fold(nothing, |before, part| Box::new(before.chain(*part)))
}

/// The whole body of an answer, or `None` if it has more than `limit` bytes.
pub(in crate::registry) fn read(body: &mut Body, limit: u64) -> Result<Option<Vec<u8>>, Failure> {
    let mut bytes = Vec::new();
    body.as_reader().take(limit + 1).read_to_end(&mut bytes).map_err(Failure::of_body)?;
    Ok((bytes.len() as u64 <= limit).then_some(bytes))
}

/// Reads an answer's body piece by piece. [`Failure::of_body`] describes its errors.
pub(in crate::registry) fn reader(answer: Answer) -> Box<dyn Read + Send> {
    Box::new(answer.into_body().into_reader())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_read_one_after_the_other() {
        let mut text = String::new();
        read_parts(&[b"a", b"", b"bc"]).read_to_string(&mut text).unwrap();
        assert_eq!(text, "abc");
        assert_eq!(read_parts(&[]).read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn no_more_is_read_than_the_limit() {
        let body = || Body::builder().data("four");
        assert_eq!(read(&mut body(), 4).unwrap().as_deref(), Some(&b"four"[..]));
        assert_eq!(read(&mut body(), 3).unwrap(), None);
    }
}
