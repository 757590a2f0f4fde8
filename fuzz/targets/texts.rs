//! Short texts: image names, dates, numbers, JSON, and text from peers.

use formats::digest::Digest;
use formats::python::{number, time::DateTime};
use formats::{go_json, json, peer_text, python};
use oci::{Reference, without_user};
use serde_json::Value;

/// Dates: a printed date is read as the same date.
pub fn date(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let Ok(date) = DateTime::fromisoformat(text) else { return };
    let printed = date.isoformat();
    let again = DateTime::fromisoformat(&printed);
    let again = again.unwrap_or_else(|error| panic!("{text}: {printed}: {error}"));
    assert_eq!(again.isoformat(), printed, "{text}");
    assert_eq!(again.timestamp(), date.timestamp(), "{text}: {printed}");
}

/// Image names: the parts form the same name again, all names of an image have one canonical form,
/// and errors do not show passwords.
pub fn reference(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let name = match Reference::parse(text) {
        Ok(name) => name,
        Err(error) => {
            if let Some(shown) = without_user(text).map(|shown| peer_text::plain(&shown)) {
                let (user, _) = text.rsplit_once('@').unwrap();
                let secret = peer_text::plain(user.rsplit('@').next_back().unwrap_or_default());
                // The message has an `@` and a first backtick of its own.
                let said = error.to_string().replace("before the `@`", "");
                let said = said.trim_start_matches('`');
                assert!(shown.contains(&secret) || !said.contains(&format!("{secret}@")), "{said}");
            }
            return;
        }
    };
    assert_eq!(Reference::parse(&name.to_string()).as_ref(), Ok(&name), "{text}");
    let canonical = name.canonical();
    for other in [canonical.clone(), name.familiar()] {
        // Longer names may become too long with `library/`.
        if let Ok(same) = Reference::parse(&other) {
            assert_eq!(same.canonical(), canonical, "{text}: {other}");
        }
    }
    assert!(!name.host().is_empty() && !name.manifest().is_empty(), "{text}");
    let _ = (name.local(), name.is_loopback());
}

/// JSON: printing does not change the values.
pub fn json(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let Ok(value) = serde_json::from_str::<Value>(text) else { return };
    for printed in [json::jq(&value), json::jshon(&value), go_json::compact(text)] {
        let again: Value = serde_json::from_str(&printed).unwrap();
        assert!(again == value, "{text}\n{printed}");
    }
    let printed = python::json::dumps(&value);
    assert!(printed.is_ascii(), "{printed}");
    // Python has words for numbers that do not exist in JSON.
    if let Ok(again) = serde_json::from_str::<Value>(&printed) {
        assert_eq!(python::json::dumps(&again), printed, "{text}");
    } else {
        assert!(printed.contains("Infinity"), "{text}\n{printed}");
    }
}

/// Numbers, digests, and text from peers.
pub fn text(input: &[u8]) {
    let text = &*String::from_utf8_lossy(input);
    if let Some(number) = number::int(text) {
        assert_eq!(number::int(&number.to_string()), Some(number), "{text}");
        let float = number::float(text).unwrap();
        #[allow(clippy::cast_precision_loss, reason = "the comparison allows for it")]
        let whole = number as f64;
        // Beyond 128 bits, it is the nearest number in range.
        let clamped = [i128::MIN, i128::MAX].contains(&number) && float.abs() >= whole.abs();
        assert!(clamped || (float - whole).abs() <= float.abs() * f64::EPSILON, "{text}");
    }
    if let Ok(digest) = text.parse::<Digest>() {
        assert!(digest.to_string().eq_ignore_ascii_case(text), "{text}");
    }
    let limit = input.len() % 40;
    for said in [peer_text::start(text, limit), peer_text::end(text, limit)] {
        assert!(!said.contains(char::is_control), "{said:?}");
        assert!(said.chars().count() <= limit + 3, "{limit}: {said:?}");
    }
}
