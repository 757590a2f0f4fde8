//! `json.dumps(value, indent=4)`.
//!
//! There are two differences from Python. Text with half a surrogate pair (`"\ud800"`) is rejected
//! when it is parsed, while Python preserves it. An integer of more than 4300 digits is accepted,
//! while Python rejects it.

use serde_json::{Number, Value};
use std::fmt::Write as _;

const INDENT: usize = 4;

/// `json.dumps(value, indent=4)`: pure ASCII, keys in their order, and no newline at the end.
///
/// Numbers are formatted from their source text like Python's `int` and `float`.
pub fn dumps(value: &Value) -> String {
    let mut out = String::new();
    write_value(&mut out, value, 0);
    out
}

fn write_value(out: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => out.push_str(&format_number(number)),
        Value::String(text) => write_string(out, text),
        Value::Array(items) => {
            write_block(out, ['[', ']'], depth, items.iter(), |out, item| {
                write_value(out, item, depth + 1);
            });
        }
        Value::Object(map) => {
            write_block(out, ['{', '}'], depth, map.iter(), |out, (key, item)| {
                write_string(out, key);
                out.push_str(": ");
                write_value(out, item, depth + 1);
            });
        }
    }
}

/// Writes one item per line between brackets; an empty block is just the brackets.
fn write_block<T>(
    out: &mut String,
    [open, close]: [char; 2],
    depth: usize,
    items: impl ExactSizeIterator<Item = T>,
    mut write_item: impl FnMut(&mut String, T),
) {
    out.push(open);
    if items.len() > 0 {
        for (index, item) in items.enumerate() {
            if index > 0 {
                out.push(',');
            }
            new_line(out, depth + 1);
            write_item(out, item);
        }
        new_line(out, depth);
    }
    out.push(close);
}

fn new_line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n(' ', depth * INDENT));
}

/// Escapes everything but printable ASCII, and characters above U+FFFF as surrogate pairs.
fn write_string(out: &mut String, text: &str) {
    out.push('"');
    for char in text.chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(char),
            _ => {
                for unit in char.encode_utf16(&mut [0; 2]) {
                    // Writing to a String cannot fail.
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
}

/// The result of `json.loads` and `json.dumps` for a number: an integer keeps its digits, and a
/// number with a fraction or an exponent is a float.
fn format_number(number: &Number) -> String {
    let text = number.to_string();
    if !text.contains(['.', 'e', 'E']) {
        return if text == "-0" { "0".to_owned() } else { text };
    }
    // Rust can parse every number that the JSON parser accepted; if it could not, the source text
    // would be the best answer.
    text.parse().map_or(text, format_float)
}

/// `float.__repr__`, except for JSON's names of values that are not finite.
fn format_float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    let sign = if value.is_sign_negative() { "-" } else { "" };
    if value.is_infinite() {
        return format!("{sign}Infinity");
    }
    let value = value.abs();
    let scientific = shortest_digits(value);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if !(-4..16).contains(&exponent) {
        let exponent_sign = if exponent < 0 { '-' } else { '+' };
        return format!("{sign}{mantissa}e{exponent_sign}{:02}", exponent.unsigned_abs());
    }
    let digits = mantissa.replace('.', "");
    let point = exponent + 1;
    match usize::try_from(point) {
        Ok(point @ 1..) if point < digits.len() => {
            format!("{sign}{}.{}", &digits[..point], &digits[point..])
        }
        Ok(point @ 1..) => format!("{sign}{digits:0<point$}.0"),
        _ => {
            let zeros = "0".repeat(point.unsigned_abs() as usize);
            format!("{sign}0.{zeros}{digits}")
        }
    }
}

/// The fewest digits that parse to the same value, as `d.ddde-5`.
///
/// If two such numbers are equally close, Python chooses the one with an even last digit. Rust's
/// shortest formatting does not, but rounding to a given number of digits does.
fn shortest_digits(value: f64) -> String {
    let shortest = format!("{value:e}");
    let mantissa = shortest.split('e').next().unwrap_or_default();
    let rounded = format!("{value:.0$e}", mantissa.len().saturating_sub(2));
    if rounded.parse() == Ok(value) { rounded } else { shortest }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reformat(text: &str) -> String {
        dumps(&serde_json::from_str(text).unwrap())
    }

    #[test]
    fn numbers_print_as_python_prints_them() {
        for (text, expected) in [
            ("0", "0"),
            ("-0", "0"),
            ("-7", "-7"),
            ("18446744073709551616", "18446744073709551616"),
            ("-123456789012345678901234567890", "-123456789012345678901234567890"),
            ("1.5", "1.5"),
            ("1.50", "1.5"),
            ("-0.0", "-0.0"),
            ("0e5", "0.0"),
            ("1e22", "1e+22"),
            ("1E2", "100.0"),
            ("0.1", "0.1"),
            ("0.0001", "0.0001"),
            ("0.00001", "1e-05"),
            ("9999999999999998.0", "9999999999999998.0"),
            ("1e16", "1e+16"),
            ("123456789.123456789e-200", "1.2345678912345678e-192"),
            ("5e-324", "5e-324"),
            ("176924287590360.6173", "176924287590360.62"),
            ("9.5367431640625e-7", "9.5367431640625e-07"),
            ("1e400", "Infinity"),
            ("-1e400", "-Infinity"),
        ] {
            assert_eq!(reformat(text), expected, "{text}");
        }
    }

    #[test]
    fn strings_are_ascii() {
        let text = r#""\"\\\/\b\f\n\r\t\u0000\u001f \u007f~é日😀""#;
        let expected = r#""\"\\/\b\f\n\r\t\u0000\u001f \u007f~\u00e9\u65e5\ud83d\ude00""#;
        assert_eq!(reformat(text), expected);
    }

    #[test]
    fn blocks_are_indented_and_keep_their_order() {
        assert_eq!(
            reformat(r#"{"b": [1, {"é": null}], "a": {}, "c": [[], true], "b2": false}"#),
            "{\n    \"b\": [\n        1,\n        {\n            \"\\u00e9\": null\n        }\n    ],\n    \
             \"a\": {},\n    \"c\": [\n        [],\n        true\n    ],\n    \"b2\": false\n}"
        );
        assert_eq!(reformat("[]"), "[]");
        assert_eq!(reformat("{}"), "{}");
    }

    #[test]
    fn the_last_value_of_a_key_stands_at_its_first_place() {
        assert_eq!(reformat(r#"{"a": 1, "b": 2, "a": 3}"#), "{\n    \"a\": 3,\n    \"b\": 2\n}");
    }
}
