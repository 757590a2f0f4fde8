//! Makes text from peers (registries, engines, programs) safe to print.
//!
//! Such text may move the cursor, reverse adjacent text, pretend to be one of our own lines, or be
//! endless. All of it passes through here before it is printed.

use unicode_properties::{GeneralCategory, UnicodeGeneralCategory as _};

/// The text on one line, without control characters (C0, C1) and without invisible characters that
/// affect how others are displayed or found, such as those for the writing direction.
pub fn plain(text: &str) -> String {
    let shown = text.chars().filter_map(|char| match char.general_category() {
        _ if matches!(char, '\t'..='\r' | '\u{85}') => Some(' '),
        GeneralCategory::LineSeparator | GeneralCategory::ParagraphSeparator => Some(' '),
        GeneralCategory::Control | GeneralCategory::Format => None,
        _ => Some(char),
    });
    shown.collect::<String>().trim().to_owned()
}

/// The first `limit` characters of a text, made plain.
pub fn start(text: &str, limit: usize) -> String {
    shortened(&plain(text), limit)
}

/// The last `limit` characters of a text, made plain. That is where programs print why they failed.
pub fn end(text: &str, limit: usize) -> String {
    let text = plain(text);
    let more = text.chars().count().saturating_sub(limit);
    if more == 0 { text } else { text.chars().skip(more).collect() }
}

/// The first `limit` characters of a text that is already plain.
pub fn shortened(text: &str, limit: usize) -> String {
    text.chars().take(limit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_moves_the_cursor_or_the_direction() {
        for (text, shown) in [
            ("no \u{1b}[31m way", "no [31m way"),
            ("a\r\nerror: b\tc\u{b}d\u{85}e\u{2028}f\u{2029}g", "a  error: b c d e f g"),
            ("\u{0}\u{7}\u{7f}\u{80}\u{9b}31mx\u{9f}", "31mx"),
            ("\u{202a}a\u{202b}b\u{202c}c\u{202d}d\u{202e}e", "abcde"),
            ("\u{2066}a\u{2067}b\u{2068}c\u{2069}d\u{200e}e\u{200f}f\u{61c}g", "abcdefg"),
            ("\u{feff}a\u{200b}\u{200c}\u{200d}\u{2060}\u{ad}b\u{e0041}", "ab"),
            ("grüße 世界 🚀", "grüße 世界 🚀"),
        ] {
            assert_eq!(plain(text), shown);
        }
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(start("äöü\nx", 2), "äö");
        assert_eq!(end("x\näöü", 2), "öü");
        assert_eq!(end("äöü\n", 9), "äöü");
        // Removed characters do not count.
        assert_eq!(start(&("\u{202e}".repeat(9) + "abc"), 2), "ab");
    }
}
