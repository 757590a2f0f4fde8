//! Texts that go into requests, and those that come out of answers.

use std::fmt::Write as _;
use std::io::Read as _;

use ureq::Body;

use super::RegistryError;
use super::failure::Failure;

/// A request in words; without its query, which may hold a token.
pub(super) fn describe(method: &str, address: &str) -> String {
    let plain = address.split(['?', '#']).next().unwrap_or_default();
    // An address from a registry could hold a password.
    let plain = plain.split_once("://").map_or(plain, |(_, rest)| rest);
    let plain = plain.rsplit_once('@').map_or(plain, |(_, rest)| rest);
    format!("{method} {plain}")
}

/// What a registry says went wrong: the first of its list of errors.
pub(super) fn message(text: &[u8]) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(text).ok()?;
    let errors = value["errors"].as_array()?.iter().take(3);
    let said = errors.filter_map(|error| {
        error["message"].as_str().filter(|text| !text.is_empty()).or(error["code"].as_str())
    });
    let text = said.collect::<Vec<_>>().join(", ");
    (!text.is_empty()).then_some(text)
}

/// All of an answer to `what`, which is an error if it has more than `limit` bytes.
pub(super) fn read_bounded(
    body: &mut Body,
    limit: u64,
    what: impl Fn() -> String,
) -> Result<Vec<u8>, RegistryError> {
    let mut text = Vec::new();
    body.as_reader().take(limit + 1).read_to_end(&mut text).map_err(|error| {
        RegistryError::Answer { what: what(), problem: Failure::of_body(error).to_string() }
    })?;
    if text.len() as u64 > limit {
        return Err(RegistryError::TooLarge { what: what(), limit });
    }
    Ok(text)
}

/// Text as part of a query.
pub(super) fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_without_secrets() {
        let address = "https://u:p@reg.io/v2/a/blobs/uploads/1?_state=secret#x";
        assert_eq!(describe("PUT", address), "PUT reg.io/v2/a/blobs/uploads/1");
        assert_eq!(percent_encode("sha256:a b&c/d"), "sha256%3Aa%20b%26c/d");
    }

    #[test]
    fn registries_say_what_is_wrong_in_a_list() {
        let text = br#"{"errors":[{"code":"DENIED","message":"no way"},{"code":"X"}]}"#;
        assert_eq!(message(text).unwrap(), "no way, X");
        assert_eq!(message(b"<html>"), None);
    }
}
