//! The fields of a message's head.

use ::http::HeaderMap;
use ::http::header::{ACCEPT, CONTENT_LENGTH, HeaderName};

use super::HeadError;

/// Fields by name. Names are case-insensitive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(pub(super) HeaderMap);

impl Fields {
    /// A field's value; `None` if the field is missing or not ASCII.
    pub fn get(&self, name: HeaderName) -> Option<&str> {
        self.0.get(name)?.to_str().ok()
    }

    /// Whether a field exists.
    pub fn contains(&self, name: HeaderName) -> bool {
        self.0.contains_key(name)
    }

    /// The entries of a list field, without empty ones.
    fn entries(&self, name: HeaderName) -> impl Iterator<Item = &[u8]> {
        let values = self.0.get_all(name).into_iter();
        let entries = values.flat_map(|value| value.as_bytes().split(|&byte| byte == b','));
        entries.map(<[u8]>::trim_ascii).filter(|entry| !entry.is_empty())
    }

    /// Whether a list field contains a word.
    pub fn lists(&self, name: HeaderName, word: &str) -> bool {
        self.entries(name).any(|entry| entry.eq_ignore_ascii_case(word.as_bytes()))
    }

    /// Whether the sender accepts documents of a media type.
    pub fn accepts(&self, media_type: &str) -> bool {
        // Preferences (`;q=`) do not matter, as there is one document of each type.
        let ranges = self.entries(ACCEPT).map(|entry| entry.split(|&byte| byte == b';').next());
        let mut ranges = ranges.flatten().map(<[u8]>::trim_ascii).peekable();
        let kind = media_type.split('/').next().map(str::as_bytes);
        ranges.peek().is_none()
            || ranges.any(|range| {
                range.eq_ignore_ascii_case(media_type.as_bytes())
                    || range == b"*/*"
                    || range.strip_suffix(b"/*").is_some_and(|range| Some(range) == kind)
            })
    }

    /// The length of the body, if it is given; an error if it is not a number, or if there are two
    /// different ones.
    pub fn content_length(&self) -> Result<Option<u64>, HeadError> {
        let mut all = self.0.get_all(CONTENT_LENGTH).into_iter();
        let Some(first) = all.next() else { return Ok(None) };
        let digits = first.as_bytes().iter().all(u8::is_ascii_digit);
        if !digits || all.any(|other| other != first) {
            return Err(HeadError::Malformed);
        }
        let length = first.to_str().ok().and_then(|digits| digits.parse().ok());
        length.map(Some).ok_or(HeadError::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use ::http::header::CONNECTION;

    use super::super::RequestHead;
    use super::*;

    fn fields(text: &str) -> Fields {
        let text = format!("GET / HTTP/1.1\r\n{text}\r\n");
        RequestHead::read(&mut text.as_bytes(), None).unwrap().fields
    }

    #[test]
    fn media_types_are_accepted_by_name_and_by_range() {
        for (text, accepted) in [
            ("", true),
            ("Accept: a/b\r\n", true),
            ("Accept: x/y, A/B;q=0.5\r\n", true),
            ("Accept: x/y\r\nAccept: a/*\r\n", true),
            ("Accept: */*\r\n", true),
            ("Accept: a/bc\r\n", false),
            ("Accept: x/*, a\r\n", false),
            ("Accept:\r\n", true),
        ] {
            assert_eq!(fields(text).accepts("a/b"), accepted, "{text}");
        }
    }

    #[test]
    fn lists_are_read_over_all_fields_of_a_name() {
        let fields = fields("connection: a, ,Close\r\nX: close-x\r\nConnection: \u{e9}, b\r\n");
        for (word, listed) in [("close", true), ("A", true), ("b", true), ("clos", false)] {
            assert_eq!(fields.lists(CONNECTION, word), listed, "{word}");
        }
    }

    #[test]
    fn a_length_is_one_number() {
        assert_eq!(fields("").content_length().unwrap(), None);
        for text in ["Content-Length: 12\r\n", "content-length:12 \r\nContent-Length: 12\r\n"] {
            assert_eq!(fields(text).content_length().unwrap(), Some(12), "{text}");
        }
        for bad in [
            "-1",
            "+1",
            "0x1",
            "",
            "1 2",
            "1, 1",
            "\u{661}",
            "99999999999999999999",
            "1\r\nContent-Length: 2",
            "1\r\nContent-Length: 01",
        ] {
            let fields = fields(&format!("Content-Length: {bad}\r\n"));
            assert!(fields.content_length().is_err(), "{bad}");
        }
    }
}
