//! Inputs of several parts, and tar files with corrected checksums: random changes would otherwise
//! be rejected because of the checksum, and the code behind that check would never be reached.

use formats::digest::Digest;

/// Separates the parts of an input, such that seeds can be written by hand.
const BETWEEN: &[u8] = b"\n%%\n";
const BLOCK: usize = 512;

/// The parts of an input.
pub fn split(mut input: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    while let Some(end) = input.windows(BETWEEN.len()).position(|window| window == BETWEEN) {
        parts.push(&input[..end]);
        input = &input[end + BETWEEN.len()..];
    }
    parts.push(input);
    parts
}

/// A part as a string.
pub fn text(part: Option<&&[u8]>) -> String {
    String::from_utf8_lossy(part.copied().unwrap_or_default()).into_owned()
}

/// Replaces placeholders for digests and sizes, such as `$c`.
pub fn fill(text: &str, values: &[(String, String)]) -> String {
    let mut text = text.to_owned();
    // `$10` must not be taken for `$1`.
    for (name, value) in values.iter().rev() {
        text = text.replace(name, value);
    }
    text
}

/// The placeholders for a blob's size and digest, with their values.
pub fn names(name: &str, blob: &[u8]) -> [(String, String); 2] {
    [(format!("$s{name}"), blob.len().to_string()), (format!("${name}"), Digest::of(blob).hex())]
}

/// A tar file with the right checksums in all of its headers.
pub fn with_checksums(tar: &[u8]) -> Vec<u8> {
    let mut tar = tar.to_vec();
    let mut position = 0;
    while let Some(header) = tar.get_mut(position..position + BLOCK) {
        position += BLOCK;
        if header.iter().all(|&byte| byte == 0) {
            continue;
        }
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        position += size(header).next_multiple_of(BLOCK);
    }
    tar
}

/// The size in a header if it is in octal digits, otherwise 0.
fn size(header: &[u8]) -> usize {
    let digits = header[124..136].split(|byte| !(b'0'..=b'7').contains(byte)).next();
    let digits = digits.and_then(|digits| str::from_utf8(digits).ok()).unwrap_or_default();
    usize::from_str_radix(digits, 8).unwrap_or(0)
}

/// A docker-archive or OCI archive of these members.
pub fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in members {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, *content).unwrap();
    }
    tar.into_inner().unwrap()
}
