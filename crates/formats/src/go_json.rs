//! JSON as Go's `encoding/json` writes a `json.RawMessage`, which is JSON already.

/// Removes white space between tokens, and escapes the characters that HTML or JavaScript would
/// misread. Everything else is unchanged: order, escapes, digits of numbers.
///
/// `text` must be valid JSON.
pub fn compact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut in_string, mut escaped) = (false, false);
    for character in text.chars() {
        match character {
            '<' => out.push_str("\\u003c"),
            '>' => out.push_str("\\u003e"),
            '&' => out.push_str("\\u0026"),
            '\u{2028}' => out.push_str("\\u2028"),
            '\u{2029}' => out.push_str("\\u2029"),
            ' ' | '\t' | '\r' | '\n' if !in_string => {}
            _ => out.push(character),
        }
        in_string ^= character == '"' && !escaped;
        escaped = character == '\\' && !escaped;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected output is that of Go 1.26 for a `json.RawMessage`.
    #[test]
    fn only_white_space_and_what_html_misreads_changes() {
        for (text, expected) in [
            (" { \"b\" : [ 1 ,\r\n\t2 ] , \"a\" : null } ", r#"{"b":[1,2],"a":null}"#),
            (r#"{"b":"x  y\t","a":1}"#, r#"{"b":"x  y\t","a":1}"#),
            (r#""a \" b <""#, r#""a \" b \u003c""#),
            (r#"["\\", " "]"#, r#"["\\"," "]"#),
            (r#""\u00fc ü \/ \u003C""#, r#""\u00fc ü \/ \u003C""#),
            ("\"<a href=\\\"&\\\">\"", r#""\u003ca href=\"\u0026\"\u003e""#),
            ("\"\u{2028}\u{2029}\"", r#""\u2028\u2029""#),
            (
                "[1e400, -0, 1.50, 123456789012345678901234567890]",
                "[1e400,-0,1.50,123456789012345678901234567890]",
            ),
        ] {
            assert_eq!(compact(text), expected);
        }
    }
}
