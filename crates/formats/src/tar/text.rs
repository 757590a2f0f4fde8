//! Names as Python's `str` sees them: UTF-8 decoded with `surrogateescape`.

/// The length in characters; a byte that is not part of valid UTF-8 counts as one character.
pub(super) fn length(bytes: &[u8]) -> usize {
    if bytes.is_ascii() {
        return bytes.len();
    }
    bytes.utf8_chunks().map(|chunk| chunk.valid().chars().count() + chunk.invalid().len()).sum()
}

/// Copies a string into a header field, truncated to the field's size: ASCII unchanged, every other
/// character as `?`.
pub(super) fn put_ascii(field: &mut [u8], bytes: &[u8]) {
    if bytes.is_ascii() {
        let length = bytes.len().min(field.len());
        field[..length].copy_from_slice(&bytes[..length]);
        return;
    }
    let characters = bytes.utf8_chunks().flat_map(|chunk| {
        let valid = chunk.valid().chars().map(|c| if c.is_ascii() { c as u8 } else { b'?' });
        valid.chain(chunk.invalid().iter().map(|_| b'?'))
    });
    for (slot, byte) in field.iter_mut().zip(characters) {
        *slot = byte;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_replaces_as_python_does() {
        let cases: &[(&[u8], usize, &[u8])] = &[
            (b"plain", 5, b"plain"),
            ("é日😀".as_bytes(), 3, b"???"),
            (b"a\xffb", 3, b"a?b"),
            (b"\xe2\x82A", 3, b"??A"),
            (b"\xed\xa0\x80", 3, b"???"),
        ];
        for (bytes, characters, ascii) in cases {
            assert_eq!(length(bytes), *characters, "{bytes:?}");
            let mut field = [0; 8];
            put_ascii(&mut field, bytes);
            assert_eq!(&field[..ascii.len()], *ascii, "{bytes:?}");
        }
    }
}
