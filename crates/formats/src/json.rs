//! JSON as `jq` and `jshon` print it.
//!
//! Both indent, preserve the order of keys and write UTF-8 unless escaping is required. Numbers are
//! written as in their source, like jq since 1.7; for integers the others agree.

use std::fmt::Write as _;

use serde_json::Value;

/// The differences between the two programs.
struct Style {
    indent: usize,
    /// Whether `/` becomes `\/`.
    escapes_slash: bool,
    /// Whether DEL becomes `\u007f`.
    escapes_delete: bool,
}

const JQ: Style = Style { indent: 2, escapes_slash: false, escapes_delete: true };
const JSHON: Style = Style { indent: 1, escapes_slash: true, escapes_delete: false };

/// The output of `jq .`, including the newline at its end.
pub fn jq(value: &Value) -> String {
    JQ.print(value)
}

/// The output of `jshon`, including the newline at its end.
pub fn jshon(value: &Value) -> String {
    JSHON.print(value)
}

impl Style {
    fn print(&self, value: &Value) -> String {
        let mut out = String::new();
        self.value(&mut out, value, 0);
        out.push('\n');
        out
    }

    fn value(&self, out: &mut String, value: &Value, depth: usize) {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => {
                let _ = write!(out, "{value}");
            }
            Value::String(text) => self.string(out, text),
            Value::Array(items) if items.is_empty() => out.push_str("[]"),
            Value::Array(items) => {
                self.block(out, ('[', ']'), items, depth, |out, item| {
                    self.value(out, item, depth + 1);
                });
            }
            Value::Object(entries) if entries.is_empty() => out.push_str("{}"),
            Value::Object(entries) => {
                self.block(out, ('{', '}'), entries, depth, |out, (key, value)| {
                    self.string(out, key);
                    out.push_str(": ");
                    self.value(out, value, depth + 1);
                });
            }
        }
    }

    /// Items in brackets, one per line.
    fn block<T>(
        &self,
        out: &mut String,
        brackets: (char, char),
        items: impl IntoIterator<Item = T>,
        depth: usize,
        mut write: impl FnMut(&mut String, T),
    ) {
        let mut opening = brackets.0;
        for item in items {
            out.push(opening);
            opening = ',';
            self.new_line(out, depth + 1);
            write(out, item);
        }
        self.new_line(out, depth);
        out.push(brackets.1);
    }

    fn new_line(&self, out: &mut String, depth: usize) {
        out.push('\n');
        out.extend(std::iter::repeat_n(' ', self.indent * depth));
    }

    fn string(&self, out: &mut String, text: &str) {
        out.push('"');
        for char in text.chars() {
            match char {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\u{8}' => out.push_str("\\b"),
                '\u{c}' => out.push_str("\\f"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '/' if self.escapes_slash => out.push_str("\\/"),
                '\0'..' ' => escape(out, char),
                '\u{7f}' if self.escapes_delete => escape(out, char),
                _ => out.push(char),
            }
        }
        out.push('"');
    }
}

fn escape(out: &mut String, char: char) {
    let _ = write!(out, "\\u{:04x}", u32::from(char));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As printed by jq 1.6 and jshon 20131010.
    #[test]
    fn documents_are_printed_as_the_programs_print_them() {
        let source = r#"{"Cmd": ["/bin", "a\u007f\/é<>&\u2028\u0001\n\"\\\b\f\r\t😀"], "E": [], "O": {},
            "N": null, "T": true, "F": 0.5, "I": 30000000000, "EO": [{}]}"#;
        let value: Value = serde_json::from_str(source).unwrap();
        let jq_text = "{\n  \"Cmd\": [\n    \"/bin\",\n    \
            \"a\\u007f/é<>&\u{2028}\\u0001\\n\\\"\\\\\\b\\f\\r\\t😀\"\n  ],\n  \"E\": [],\n  \
            \"O\": {},\n  \"N\": null,\n  \"T\": true,\n  \"F\": 0.5,\n  \"I\": 30000000000,\n  \
            \"EO\": [\n    {}\n  ]\n}\n";
        let jshon_text = "{\n \"Cmd\": [\n  \"\\/bin\",\n  \
            \"a\u{7f}\\/é<>&\u{2028}\\u0001\\n\\\"\\\\\\b\\f\\r\\t😀\"\n ],\n \"E\": [],\n \
            \"O\": {},\n \"N\": null,\n \"T\": true,\n \"F\": 0.5,\n \"I\": 30000000000,\n \
            \"EO\": [\n  {}\n ]\n}\n";
        assert_eq!(jq(&value), jq_text);
        assert_eq!(jshon(&value), jshon_text);
    }
}
