//! Redacts secrets from messages, in any encoding that a server may echo them in.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use memchr::memmem;

/// Replaces a secret.
const MASK: &str = "***";
/// How many times a `%` may be encoded again as `%25`.
const DECODINGS: usize = 2;
/// Minimum length of the inner part of an encoded secret: shorter ones would match where there is
/// no secret.
const LEAST_INSIDE: usize = 8;

/// Passwords, tokens and their encoded forms. The `Debug` output hides them.
#[derive(Default)]
pub(super) struct Secrets {
    /// The forms to search for, in lower case.
    looks: Vec<Vec<u8>>,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Secrets(...)")
    }
}

impl Secrets {
    pub(super) fn add(&mut self, secret: &str) {
        let mut looks = vec![secret.to_owned(), secret.to_uppercase(), secret.to_lowercase()];
        looks.push(hex(secret));
        looks.extend(in_json(secret));
        looks.extend([STANDARD_NO_PAD.encode(secret), URL_SAFE_NO_PAD.encode(secret)]);
        // Base64 of a secret inside a longer text, where it starts at one of three bit offsets.
        for before in 0..3 {
            let padded = ["x".repeat(before).as_bytes(), secret.as_bytes()].concat();
            let (first, last) = ((before * 8).div_ceil(6), padded.len() * 8 / 6);
            let inside = |text: String| text.get(first..last).map(str::to_owned);
            let both = [STANDARD_NO_PAD.encode(&padded), URL_SAFE_NO_PAD.encode(&padded)];
            let insides = both.into_iter().filter_map(inside);
            looks.extend(insides.filter(|text| text.len() >= LEAST_INSIDE));
        }
        for look in looks.iter_mut().filter(|look| !look.is_empty()) {
            look.make_ascii_lowercase();
            if !self.looks.iter().any(|known| known == look.as_bytes()) {
                self.looks.push(std::mem::take(look).into_bytes());
            }
        }
    }

    /// Replaces all secrets in a text. Shorten the text only afterwards, as part of a secret would
    /// not be recognized.
    pub(super) fn redact(&self, text: &str) -> String {
        let mut view = View::of(text);
        let mut found = Vec::new();
        for _ in 0..=DECODINGS {
            found.extend(self.looks.iter().flat_map(|look| view.find(look)));
            view = view.decoded();
        }
        found.sort_unstable();
        let (mut shown, mut end) = (Vec::new(), 0);
        for (from, to) in found {
            if from >= end {
                shown.extend_from_slice(&text.as_bytes()[end..from]);
                shown.extend_from_slice(MASK.as_bytes());
            }
            end = end.max(to);
        }
        shown.extend_from_slice(&text.as_bytes()[end..]);
        String::from_utf8_lossy(&shown).into_owned()
    }
}

fn hex(text: &str) -> String {
    text.bytes().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

/// The secret as it appears in a JSON string.
fn in_json(text: &str) -> Option<String> {
    let quoted = serde_json::to_string(text).ok()?;
    Some(quoted.trim_matches('"').to_owned())
}

/// A normalized text, and the position of each of its bytes in the original.
struct View {
    bytes: Vec<u8>,
    places: Vec<(usize, usize)>,
}

impl View {
    fn of(text: &str) -> Self {
        let places = (0..text.len()).map(|at| (at, at + 1)).collect();
        Self { bytes: text.to_ascii_lowercase().into_bytes(), places }
    }

    /// The same text, with `%41` decoded to `a`.
    fn decoded(&self) -> Self {
        let (mut bytes, mut places, mut at) = (Vec::new(), Vec::new(), 0);
        while at < self.bytes.len() {
            let (byte, length) = match escaped(&self.bytes[at..]) {
                Some(byte) => (byte.to_ascii_lowercase(), 3),
                None => (self.bytes[at], 1),
            };
            bytes.push(byte);
            places.push((self.places[at].0, self.places[at + length - 1].1));
            at += length;
        }
        Self { bytes, places }
    }

    /// The positions of this form in the original text.
    fn find(&self, look: &[u8]) -> impl Iterator<Item = (usize, usize)> {
        let found = memmem::find_iter(&self.bytes, look).collect::<Vec<_>>();
        found.into_iter().map(|at| (self.places[at].0, self.places[at + look.len() - 1].1))
    }
}

/// The byte that `%hh` encodes.
fn escaped(bytes: &[u8]) -> Option<u8> {
    let digits = bytes.strip_prefix(b"%")?.get(..2)?;
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(digits[0])? * 16 + digit(digits[1])?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};
    use proptest::prelude::*;

    fn redacted(secret: &str, text: &str) -> String {
        let mut secrets = Secrets::default();
        secrets.add(secret);
        secrets.redact(text)
    }

    fn percent(text: &str, all: bool) -> String {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() && !all;
        let encode = |byte: u8| {
            if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }
        };
        text.bytes().map(encode).collect()
    }

    #[test]
    fn secrets_are_found_however_they_are_written() {
        let secret = "Pa%41s wörd+/?\"x";
        let hex = hex(secret);
        let percent_once = percent(secret, false);
        for said in [
            secret.to_owned(),
            secret.to_uppercase(),
            secret.to_lowercase(),
            STANDARD.encode(secret),
            URL_SAFE.encode(secret),
            STANDARD.encode(secret).to_lowercase(),
            percent(&STANDARD.encode(secret), false),
            hex.to_uppercase(),
            hex,
            percent(secret, true),
            percent(secret, true).to_lowercase(),
            percent(&percent_once, false),
            percent_once,
            serde_json::to_string(secret).unwrap().trim_matches('"').to_owned(),
        ] {
            let found = redacted(secret, &format!("denied: {said} is wrong"));
            let found = found.replace('=', "").replace("%3D", "");
            assert_eq!(found, "denied: *** is wrong", "{said}");
        }
    }

    #[test]
    fn what_repeats_no_secret_stays() {
        for text in ["", "denied", "50% of 100 %zz %", "schließt ß", "YWJj", "%F0%9F%9A%80"] {
            assert_eq!(redacted("topsecret", text), text);
        }
        assert_eq!(redacted("", "denied"), "denied");
    }

    proptest! {
        #[test]
        fn encoded_with_something_around_it_is_found(
            secret in "[!-~]{9,40}", before in "[!-~]{0,20}", after in "[!-~]{0,20}",
        ) {
            let whole = format!("{before}{secret}{after}");
            for text in [STANDARD.encode(&whole), URL_SAFE.encode(&whole), percent(&whole, false)] {
                let shown = redacted(&secret, &text);
                prop_assert!(shown.contains("***"), "{} {}", text, shown);
            }
        }

        #[test]
        fn any_text_is_searched(secret in ".{0,4}", text in ".{0,60}") {
            let shown = redacted(&secret, &text);
            // The mask may itself contain a secret made of asterisks.
            prop_assume!(!secret.is_empty() && !secret.contains('*'));
            prop_assert!(!shown.contains(&secret));
        }
    }
}
