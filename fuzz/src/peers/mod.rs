//! Peers that answer whatever the fuzzer makes up: registries and dockerd.
//!
//! They need environment variables, and no pauses between attempts, so they only run in fuzzers.

pub mod credentials;
pub mod dockerd;
pub mod registry;
mod server;

use std::error::Error;

use formats::digest::Digest;

use crate::targets::parts;

/// Sets environment variables. Call this only at the start of a process, before other threads
/// exist.
fn set_environment(variables: &[(&str, &str)]) {
    for (name, value) in variables {
        // SAFETY: there is no other thread that could read them.
        unsafe { std::env::set_var(name, value) };
    }
}

/// The answers in an input. In the first one, `$1` is the digest of the second one's body, and
/// `$s1` its size.
fn answers(input: &[u8], values: &[(String, String)]) -> Vec<Vec<u8>> {
    let mut values = values.to_vec();
    let mut answers = Vec::new();
    for (number, answer) in parts::split(input).iter().enumerate().rev() {
        // Parts that are not UTF-8 stay as they are.
        let answer = match str::from_utf8(answer) {
            Ok(text) => parts::fill(text, &values).into_bytes(),
            Err(_) => answer.to_vec(),
        };
        let body = answer.windows(4).position(|window| window == b"\r\n\r\n");
        let body = body.map_or(&[][..], |start| &answer[start + 4..]);
        values.push((format!("$s{number}"), body.len().to_string()));
        values.push((format!("${number}"), Digest::of(body).hex()));
        answers.push(answer);
    }
    answers.reverse();
    answers
}

/// Checks that an error can be shown: its message is one line of limited length without secrets.
pub(crate) fn check(error: &(dyn Error + 'static), secrets: &[&str]) {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let said = error.to_string();
        assert!(said.len() < 4000, "a message of {} bytes: {said}", said.len());
        assert!(!said.contains(char::is_control), "{said:?}");
        for secret in secrets {
            assert!(!said.contains(secret), "a secret is in: {said}");
        }
        cause = error.source();
    }
}
