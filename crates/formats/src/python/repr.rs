//! `repr()` of strings.
//!
//! Python escapes characters that Unicode does not consider printable, and each version knows the
//! characters of its time: 3.11 those of Unicode 14, 3.13 those of 15.1. The table here is newer,
//! so a character that is too new for a version of Python is escaped there, but printed here. All
//! characters in Unicode 14 are treated alike.

use std::fmt::Write as _;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

/// `repr()` of a list of `str`: `['a', "it's"]`.
pub fn list_of_str<S: AsRef<str>>(items: &[S]) -> String {
    let mut out = String::from("[");
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        write_str(&mut out, item.as_ref());
    }
    out.push(']');
    out
}

/// Uses single quotes, unless the text contains single quotes and no double ones.
fn write_str(out: &mut String, text: &str) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for char in text.chars() {
        match char {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ if char == quote => out.extend(['\\', quote]),
            _ if is_printable(char) => out.push(char),
            _ => write_escape(out, char),
        }
    }
    out.push(quote);
}

fn write_escape(out: &mut String, char: char) {
    let code = u32::from(char);
    // Writing to a String cannot fail.
    let _ = match code {
        0..=0xff => write!(out, "\\x{code:02x}"),
        0x100..=0xffff => write!(out, "\\u{code:04x}"),
        _ => write!(out, "\\U{code:08x}"),
    };
}

/// `str.isprintable()` for one character.
fn is_printable(char: char) -> bool {
    char == ' '
        || !matches!(
            char.general_category(),
            GeneralCategory::Control
                | GeneralCategory::Format
                | GeneralCategory::Surrogate
                | GeneralCategory::PrivateUse
                | GeneralCategory::Unassigned
                | GeneralCategory::LineSeparator
                | GeneralCategory::ParagraphSeparator
                | GeneralCategory::SpaceSeparator
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_quoted_and_escaped() {
        for (text, expected) in [
            ("", "''"),
            ("/nix/store/abc-x", "'/nix/store/abc-x'"),
            ("it's", "\"it's\""),
            ("say \"so\"", "'say \"so\"'"),
            ("it's \"so\"", "'it\\'s \"so\"'"),
            ("a\\b\n\r\t\0\u{7f}", r"'a\\b\n\r\t\x00\x7f'"),
            ("é日😀", "'é日😀'"),
            ("\u{a0}\u{ad}\u{85}", r"'\xa0\xad\x85'"),
            ("\u{2028}\u{3000}\u{feff}\u{e000}\u{378}", r"'\u2028\u3000\ufeff\ue000\u0378'"),
            ("\u{e0001}\u{10ffff}", r"'\U000e0001\U0010ffff'"),
        ] {
            assert_eq!(list_of_str(&[text]), format!("[{expected}]"));
        }
    }

    #[test]
    fn items_stand_in_brackets() {
        assert_eq!(list_of_str::<&str>(&[]), "[]");
        assert_eq!(list_of_str(&["a", "b"]), "['a', 'b']");
    }
}
