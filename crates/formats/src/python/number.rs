//! Parses numbers.

use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

/// `int(text)`; a number beyond 128 bits is replaced with the nearest one in range. `None` where
/// Python raises `ValueError`.
pub fn int(text: &str) -> Option<i128> {
    let text = plain(text)?;
    let digits = text.strip_prefix(['+', '-']).unwrap_or(&text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let beyond = if text.starts_with('-') { i128::MIN } else { i128::MAX };
    Some(text.parse().unwrap_or(beyond))
}

/// `float(text)`, including infinities and NaN; `None` where Python raises `ValueError`.
pub fn float(text: &str) -> Option<f64> {
    plain(text)?.parse().ok()
}

/// The text in ASCII digits, without surrounding space and without underscores between digits;
/// `None` if there is an underscore elsewhere.
fn plain(text: &str) -> Option<String> {
    let text: String = text.trim().chars().map(|char| ascii_digit(char).unwrap_or(char)).collect();
    let bytes = text.as_bytes();
    let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let between = |at: usize| at > 0 && is_digit(at - 1) && is_digit(at + 1);
    let misplaced = text.match_indices('_').any(|(at, _)| !between(at));
    (!misplaced).then(|| text.replace('_', ""))
}

/// The ASCII digit with the value of this decimal digit in any script.
fn ascii_digit(char: char) -> Option<char> {
    let is_digit = |char: char| char.general_category() == GeneralCategory::DecimalNumber;
    if char.is_ascii() || !is_digit(char) {
        return None;
    }
    // The digits of a script are consecutive, from zero to nine.
    let before = (1..).take_while(|n| char::from_u32(char as u32 - n).is_some_and(is_digit));
    char::from_digit(before.count() as u32 % 10, 10)
}
