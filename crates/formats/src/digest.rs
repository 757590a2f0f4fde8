//! SHA-256 digests in the format used by images.

use std::fmt;
use std::io;
use std::str::FromStr;

use thiserror::Error;

use crate::sha256::Sha256;

/// A SHA-256 digest. It is printed and parsed as `sha256:` and 64 hexadecimal digits.
///
/// # Examples
///
/// ```
/// # mod nix_image { pub use nix_image_formats::digest::Digest; }
/// use nix_image::Digest;
///
/// let digest = Digest::of(b"abc");
/// assert!(digest.to_string().starts_with("sha256:ba7816bf"));
/// assert!(digest.hex().starts_with("ba7816bf"));
/// assert_eq!(digest.to_string().parse(), Ok(digest));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 32]);

/// The identity of a blob: its digest and size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobId {
    /// The blob's digest.
    pub digest: Digest,
    /// The blob's size in bytes.
    pub size: u64,
}

/// A string is not a digest.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("expected {expected}, found `{found}`")]
pub struct DigestError {
    expected: &'static str,
    /// The string, shortened.
    found: String,
}

/// The prefix of printed digests.
const PREFIX: &str = "sha256:";

impl Digest {
    /// Hashes some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hash = Sha256::new();
        hash.update(bytes);
        Self(hash.finish())
    }

    /// The 64 hexadecimal digits, in lower case and without `sha256:`, as used in file names.
    pub fn hex(&self) -> String {
        self.0.iter().fold(String::with_capacity(64), |mut hex, byte| {
            for digit in [byte >> 4, byte & 15] {
                hex.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
            }
            hex
        })
    }

    /// Parses 64 hexadecimal digits, in upper or lower case and without `sha256:`.
    ///
    /// # Errors
    ///
    /// If the string is anything else.
    pub fn from_hex(text: &str) -> Result<Self, DigestError> {
        parse_hex(text).ok_or_else(|| DigestError::new("64 hexadecimal digits", text))
    }
}

impl DigestError {
    fn new(expected: &'static str, found: &str) -> Self {
        Self { expected, found: found.chars().take(80).collect() }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{PREFIX}{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let digest = text.strip_prefix(PREFIX).and_then(parse_hex);
        digest.ok_or_else(|| DigestError::new("sha256: and 64 hexadecimal digits", text))
    }
}

fn parse_hex(text: &str) -> Option<Digest> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut digest = [0; 32];
    for (index, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * index..][..2], 16).ok()?;
    }
    Some(Digest(digest))
}

/// Hashes what is written to it.
#[derive(Debug, Default)]
pub struct HashWriter(Sha256);

impl HashWriter {
    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of everything that was written.
    pub fn finish(self) -> Digest {
        Digest(self.0.finish())
    }
}

impl io::Write for HashWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_read_as_they_are_shown() {
        let digest = Digest::of(b"abc");
        let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest.hex(), hex);
        assert_eq!(digest.to_string(), format!("sha256:{hex}"));
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert_eq!(Digest::from_hex(&hex.to_uppercase()), Ok(digest));
        for bad in
            ["", "xyz", &hex[1..], &hex.replace('b', "g"), &format!("{hex}0"), &"é".repeat(32)]
        {
            assert!(Digest::from_hex(bad).is_err(), "{bad}");
            assert!(format!("sha256:{bad}").parse::<Digest>().is_err(), "{bad}");
        }
        for bad in [hex, &format!("sha512:{hex}"), &format!("SHA256:{hex}"), "sha256:"] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
    }
}
