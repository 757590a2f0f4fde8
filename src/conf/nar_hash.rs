//! NAR hashes, in the forms in which Nix writes them.

use crate::digest::Digest;

/// The hash as `sha256:` and hexadecimal digits, whichever of Nix's two forms it came in; nothing
/// for what is no SHA-256.
pub(crate) fn canonical(hash: &str) -> Option<String> {
    let text = hash.strip_prefix("sha256:")?;
    let digest = match text.parse() {
        Ok(digest) => digest,
        Err(_) => Digest(nix_base32::from_nix_base32(text)?.try_into().ok()?),
    };
    Some(format!("sha256:{digest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_hash_are_the_same_and_others_are_none() {
        // `nix-hash --type sha256 --to-base32`
        let hex = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let base32 = "sha256:1b8m03r63zqhnjf7l5wnldhh7c134ap5vpj0850ymkq1iyzicy5s";
        assert_eq!(canonical(hex).as_deref(), Some(hex));
        assert_eq!(canonical(base32).as_deref(), Some(hex));
        for other in [
            "",
            "sha256:",
            "sha512:00",
            "sha256:e",
            &base32.replace('b', "e"),
            &hex[7..],
            "sha256:é",
        ] {
            assert_eq!(canonical(other), None, "{other}");
        }
    }
}
