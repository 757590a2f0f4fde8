//! The lines of a tar-split.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The content of a line.
pub(super) enum Line<'a> {
    /// Bytes of the tar file.
    Segment(&'a [u8]),
    /// A member. Its content, if it has any, is in the unpacked tree.
    Member { name: &'a [u8], size: u64, checksum: u64 },
}

impl Line<'_> {
    /// Appends the line as Go's `encoding/json` writes it.
    pub(super) fn put(&self, position: u64, out: &mut Vec<u8>) {
        match self {
            Self::Segment(bytes) => {
                out.extend_from_slice(br#"{"type":2"#);
                put_payload(bytes, out);
            }
            Self::Member { name, size, checksum } => {
                out.extend_from_slice(br#"{"type":1"#);
                put_name(name, out);
                if *size == 0 {
                    out.extend_from_slice(br#","payload":null"#);
                } else {
                    out.extend_from_slice(format!(r#","size":{size}"#).as_bytes());
                    put_payload(&checksum.to_be_bytes(), out);
                }
            }
        }
        if position > 0 {
            out.extend_from_slice(format!(r#","position":{position}"#).as_bytes());
        }
        out.extend_from_slice(b"}\n");
    }
}

fn put_payload(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(br#","payload":""#);
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    let encoded = STANDARD.encode_slice(bytes, &mut out[start..]);
    debug_assert!(encoded.is_ok());
    out.push(b'"');
}

/// Names that are not UTF-8 are written in base64.
fn put_name(name: &[u8], out: &mut Vec<u8>) {
    let Ok(name) = str::from_utf8(name) else {
        let encoded = STANDARD.encode(name);
        out.extend_from_slice(format!(r#","name_raw":"{encoded}""#).as_bytes());
        return;
    };
    if name.is_empty() {
        return;
    }
    out.extend_from_slice(br#","name":""#);
    for character in name.chars() {
        match character {
            '"' => out.extend_from_slice(br#"\""#),
            '\\' => out.extend_from_slice(br"\\"),
            '\n' => out.extend_from_slice(br"\n"),
            '\r' => out.extend_from_slice(br"\r"),
            '\t' => out.extend_from_slice(br"\t"),
            // Go escapes these in addition to those that JSON requires.
            '\0'..='\x1f' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                out.extend_from_slice(format!(r"\u{:04x}", u32::from(character)).as_bytes());
            }
            character => {
                let mut buffer = [0; 4];
                out.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
            }
        }
    }
    out.push(b'"');
}
