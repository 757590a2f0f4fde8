//! Messages in answers, and descriptions of requests.

use http::Method;

use crate::registry::RegistryError;
use crate::registry::transport::{self, Answer};

/// Describes a request, without its query, which may hold a token.
pub(super) fn describe(method: &Method, address: &str) -> String {
    let plain = address.split(['?', '#']).next().unwrap_or_default();
    // An address from a registry could hold a password.
    let plain = plain.split_once("://").map_or(plain, |(_, rest)| rest);
    let plain = plain.rsplit_once('@').map_or(plain, |(_, rest)| rest);
    format!("{method} {plain}")
}

/// The registry's explanation of what went wrong: the first entries of its list of errors.
pub(super) fn message(text: &[u8]) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(text).ok()?;
    let errors = value["errors"].as_array()?.iter().take(3);
    let said = errors.filter_map(|error| {
        error["message"].as_str().filter(|text| !text.is_empty()).or(error["code"].as_str())
    });
    let text = said.collect::<Vec<_>>().join(", ");
    (!text.is_empty()).then_some(text)
}

/// Reads the whole answer to `what`. More than `limit` bytes are an error.
pub(in crate::registry) fn read_bounded(
    answer: &mut Answer,
    limit: u64,
    what: impl Fn() -> String,
) -> Result<Vec<u8>, RegistryError> {
    match transport::read(answer.body_mut(), limit) {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(RegistryError::TooLarge { what: what(), limit }),
        Err(failure) => Err(RegistryError::Answer { what: what(), problem: failure.to_string() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_without_secrets() {
        let address = "https://u:p@reg.io/v2/a/blobs/uploads/1?_state=secret#x";
        assert_eq!(describe(&Method::PUT, address), "PUT reg.io/v2/a/blobs/uploads/1");
    }

    #[test]
    fn registries_say_what_is_wrong_in_a_list() {
        let text = br#"{"errors":[{"code":"DENIED","message":"no way"},{"code":"X"}]}"#;
        assert_eq!(message(text).unwrap(), "no way, X");
        assert_eq!(message(b"<html>"), None);
    }
}
