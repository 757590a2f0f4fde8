//! Extended headers (POSIX.1-2001 pax), written when and as Python writes them.

use super::ustar::Fields;
use super::{BLOCK, padding};

/// One record of an extended header: its keyword and value.
pub type Record = (Vec<u8>, Vec<u8>);

/// Python's name for an extended header.
const NAME: &[u8] = b"././@PaxHeader";
/// The first record if a value is not valid UTF-8.
const BINARY: &[u8] = b"21 hdrcharset=BINARY\n";

/// Appends an extended header with `records`, in their order.
pub(super) fn encode(records: &[Record], out: &mut Vec<u8>) {
    let binary = records.iter().any(|(_, value)| str::from_utf8(value).is_err());
    encode_named(NAME, if binary { BINARY } else { b"" }, records, out);
}

/// Appends an extended header with another name, which contains `first` and then `records`.
pub(super) fn encode_named(name: &[u8], first: &[u8], records: &[Record], out: &mut Vec<u8>) {
    let mut payload = Vec::with_capacity(BLOCK as usize);
    payload.extend_from_slice(first);
    for (keyword, value) in records {
        let length = record_length(keyword.len() + value.len() + 3);
        payload.extend_from_slice(length.to_string().as_bytes());
        payload.push(b' ');
        payload.extend_from_slice(keyword);
        payload.push(b'=');
        payload.extend_from_slice(value);
        payload.push(b'\n');
    }
    let size = payload.len() as u64;
    Fields { name, typeflag: b'x', size, ..Fields::default() }.encode(out);
    out.extend_from_slice(&payload);
    out.extend_from_slice(padding(size));
}

/// The length of a record, including its own digits; `rest` is the length without them.
fn record_length(rest: usize) -> usize {
    let mut length = rest;
    loop {
        let next = rest + length.to_string().len();
        if next == length {
            return length;
        }
        length = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_lengths_count_themselves() {
        for (rest, length) in
            [(4, 5), (8, 9), (9, 11), (97, 99), (98, 101), (996, 999), (997, 1001)]
        {
            assert_eq!(record_length(rest), length, "{rest}");
        }
    }
}
