//! Query strings of addresses.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Characters that have a meaning in a query, or are not allowed in it.
const ESCAPED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// Encodes names and values as a query, without a question mark.
pub(super) fn query(pairs: &[(&str, &str)]) -> String {
    let pair =
        |(name, value): &(&str, &str)| format!("{name}={}", utf8_percent_encode(value, ESCAPED));
    pairs.iter().map(pair).collect::<Vec<_>>().join("&")
}

/// Appends to the query of an address, or adds one.
pub(super) fn with_query(address: &str, pairs: &[(&str, &str)]) -> String {
    let separator = if address.contains('?') { '&' } else { '?' };
    format!("{address}{separator}{}", query(pairs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_escaped() {
        let pairs = [("digest", "sha256:a b&c/d"), ("from", "a-b_c.d~e")];
        assert_eq!(query(&pairs), "digest=sha256%3Aa%20b%26c/d&from=a-b_c.d~e");
        assert_eq!(with_query("/u", &[("a", "ü")]), "/u?a=%C3%BC");
        assert_eq!(with_query("https://r/u?s=1", &[("a", "")]), "https://r/u?s=1&a=");
    }
}
