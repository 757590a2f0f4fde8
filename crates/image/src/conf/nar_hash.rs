//! NAR hashes, in all formats that Nix writes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use formats::digest::Digest;

/// Characters of a SHA-256 in Nix's base 32.
const BASE32_LENGTH: usize = 52;

/// Converts a hash in any of Nix's three formats to `sha256:` and hexadecimal digits; returns
/// `None` if it is not a SHA-256.
pub(crate) fn canonical(hash: &str) -> Option<String> {
    if let Some(text) = hash.strip_prefix("sha256-") {
        let digest = Digest(STANDARD.decode(text).ok()?.try_into().ok()?);
        return Some(digest.to_string());
    }
    let text = hash.strip_prefix("sha256:")?;
    let digest = match Digest::from_hex(text) {
        Ok(digest) => digest,
        // The library panics on some other lengths.
        Err(_) if text.len() == BASE32_LENGTH => {
            Digest(nix_base32::from_nix_base32(text)?.try_into().ok()?)
        }
        Err(_) => return None,
    };
    Some(digest.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms_of_a_hash_are_the_same_and_others_are_none() {
        // `nix-hash --type sha256 --to-base32`
        let hex = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let base32 = "sha256:1b8m03r63zqhnjf7l5wnldhh7c134ap5vpj0850ymkq1iyzicy5s";
        // `nix hash to-sri`
        let sri = "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";
        for form in [hex, base32, sri] {
            assert_eq!(canonical(form).as_deref(), Some(hex));
        }
        for other in [
            "",
            "sha256:",
            "sha512:00",
            "sha256:e",
            &base32.replace('b', "e"),
            &hex[7..],
            "sha256-ungW",
            "sha256-",
            &sri[..50],
            "sha256:é",
        ] {
            assert_eq!(canonical(other), None, "{other}");
        }
    }

    #[test]
    fn no_length_is_too_much_for_it() {
        for length in (0..100).filter(|length| ![52, 64].contains(length)) {
            for digit in ["0", "1", "2", "z"] {
                let hash = format!("sha256:{}", digit.repeat(length));
                assert_eq!(canonical(&hash), None, "{hash}");
            }
        }
        // 52 digits encode four bits more than a SHA-256 has.
        assert_eq!(canonical(&format!("sha256:2{}", "0".repeat(51))), None);
    }
}
