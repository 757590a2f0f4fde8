//! A registry's messages are shown escaped, and without secrets that it was told.

use super::faults::is;
use super::images::{Fixture, said};
use crate::support::registry::{Fault, Registry, Request};
use crate::support::{NIX_IMAGE, command, failure_of, stdout_of};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::json;
use std::process::Command;

const PASSWORD: &str = "T0p+secret/word";

/// A push with a password for the registry.
fn push(image: &Fixture, registry: &Registry) -> Command {
    let host = registry.name("");
    let host = host.trim_end_matches('/');
    let auth = json!({"auths": {host: {"username": "bob", "password": PASSWORD}}});
    let mut push = image.push(&registry.name("me/app:1"));
    push.env("DOCKER_AUTH_CONFIG", auth.to_string());
    push
}

/// Asks for a name and password, and accepts any.
fn login(request: &Request) -> Option<Fault> {
    let challenge = ("www-authenticate", "Basic realm=\"x\"".to_owned());
    let known = request.headers.contains_key("authorization");
    (!known).then(|| Fault::Answer(401, vec![challenge], vec![]))
}

/// Each byte in hexadecimal, with a prefix.
fn hex(text: &str, before: &str) -> String {
    text.bytes().fold(String::new(), |hex, byte| hex + &format!("{before}{byte:02x}"))
}

fn percent(text: &str) -> String {
    hex(text, "%")
}

/// Ways to echo the password.
fn echoes() -> Vec<String> {
    let both = format!("bob:{PASSWORD}");
    let hex = hex(PASSWORD, "");
    vec![
        PASSWORD.into(),
        PASSWORD.to_uppercase(),
        STANDARD.encode(&both),
        STANDARD.encode(&both).to_uppercase(),
        STANDARD.encode(PASSWORD),
        URL_SAFE.encode(PASSWORD),
        STANDARD.encode(json!({"password": PASSWORD}).to_string()),
        hex.to_uppercase(),
        hex,
        percent(PASSWORD),
        percent(&STANDARD.encode(PASSWORD)),
        PASSWORD.replace('+', "%2B").replace('/', "%2F"),
        // Hidden until invisible characters are removed.
        PASSWORD.chars().flat_map(|char| [char, '\u{200b}', '\u{7}']).collect(),
        // Cut off where the text is shortened.
        "x".repeat(195) + PASSWORD,
    ]
}

/// Fails if a revealing part of an echo is in the text.
fn check(text: &str, echo: &str) {
    let plain = |text: &str| text.replace(['\u{200b}', '\u{7}'], "").to_lowercase();
    let (text, echo) = (plain(text), plain(echo));
    let echo = echo.trim_start_matches('x').trim_end_matches('=');
    assert!(text.contains("***"), "{echo}: {text}");
    for part in [&echo[..8.min(echo.len())], &echo[echo.len().saturating_sub(8)..]] {
        // In a longer text with the password inside, the ends reveal nothing.
        let tells = !echo.starts_with("eyj");
        assert!(!(tells && text.contains(part)), "{part}: {text}");
    }
    assert!(!text.contains(&PASSWORD.to_lowercase()), "{text}");
}

#[test]
fn messages_repeat_no_secret() {
    let image = Fixture::new(1, true);
    for echo in echoes() {
        let said = json!({"errors": [{"message": format!("{echo} is wrong")}]}).to_string();
        let registry = Registry::start_with(move |request| {
            let denied = || Fault::Answer(403, vec![], said.clone().into_bytes());
            login(request).or_else(|| is("GET", "/manifests/")(request).then(denied))
        });
        let error = failure_of(&mut push(&image, &registry));
        assert!(error.contains("status 403"), "{error}");
        check(&error, &echo);
    }
}

#[test]
fn addresses_and_documents_repeat_no_secret() {
    let image = Fixture::new(1, true);
    for echo in [PASSWORD.replace('/', "%2F"), STANDARD.encode(PASSWORD), percent(PASSWORD)] {
        let place = format!("/v2/me/app/blobs/uploads/{echo}");
        let registry = Registry::start_with(move |request| {
            let begun = is("POST", "/uploads/")(request);
            login(request).or_else(|| begun.then(|| Fault::Header("location", place.clone())))
        });
        let error = failure_of(&mut push(&image, &registry));
        assert!(error.contains("PUT") && error.contains("status 404"), "{error}");
        check(&error, &echo);

        let registry = Registry::start_with(login);
        let digest = json!({"config": {"mediaType": "x", "size": 1, "digest": echo}, "layers": []});
        registry.set_manifest("me/app", "1", digest.to_string().as_bytes());
        let text = said(&mut push(&image, &registry));
        assert!(text.contains("cannot learn from"), "{text}");
        check(&text, &echo);
    }
}

#[test]
fn a_token_server_repeats_no_secret() {
    let image = Fixture::new(1, true);
    let echo = STANDARD.encode(format!("bob:{PASSWORD}"));
    let said = json!({"errors": [{"message": echo}]}).to_string();
    let registry = Registry::start_with(move |request| {
        if request.target.starts_with("/token") {
            return Some(Fault::Answer(401, vec![], said.clone().into_bytes()));
        }
        let challenge = format!("Bearer realm=\"http://{}/token\"", request.headers["host"]);
        Some(Fault::Answer(401, vec![("www-authenticate", challenge)], vec![]))
    });
    let error = failure_of(&mut push(&image, &registry));
    assert!(error.contains("rejects these credentials, status 401"), "{error}");
    check(&error, &echo);
}

#[test]
fn what_a_registry_says_is_one_line_without_tricks() {
    let image = Fixture::new(1, true);
    let tricks = "\u{1b}[2J\u{9b}1m\r\nerror: \u{202e}\u{2066}\u{200f}\u{61c}\u{2028}done\u{7f}";
    let said_so = json!({"errors": [{"message": tricks}]}).to_string();
    let registry = Registry::start_with(move |request| {
        let post = is("POST", "/uploads/")(request);
        post.then(|| Fault::Answer(403, vec![], said_so.clone().into_bytes()))
    });
    registry.set_manifest(
        "me/app",
        "1",
        json!({"config": {"mediaType": "x", "size": 1, "digest": tricks}}).to_string().as_bytes(),
    );
    let error = failure_of(&mut image.push(&registry.name("me/app:1")));
    assert!(error.contains("cannot learn from") && error.contains("status 403"), "{error}");
    let odd = |c: &char| {
        c.is_control() && *c != '\n' || "\u{202e}\u{2066}\u{200f}\u{61c}\u{2028}".contains(*c)
    };
    assert_eq!(error.chars().find(odd), None, "{error:?}");
    assert_eq!(error.lines().count(), 2, "{error:?}");
    assert!(
        error.lines().all(|line| line.starts_with("warning: ") || line.starts_with("error: push"))
    );
}

#[test]
fn a_login_is_checked_with_the_token_server() {
    let good = STANDARD.encode(format!("bob:{PASSWORD}"));
    let echo = good.clone();
    let registry = Registry::start_with(move |request| {
        let authorization = request.headers.get("authorization").map(String::as_str);
        if request.target.starts_with("/token") {
            // A request for a token that grants no rights.
            let is_good = authorization == Some(&format!("Basic {good}"))
                && !request.target.contains("scope");
            let said = json!({"errors": [{"message": authorization.unwrap_or_default()}]});
            let answer = if is_good { json!({ "token": "t" }) } else { said };
            let status = if is_good { 200 } else { 401 };
            return Some(Fault::Answer(status, vec![], answer.to_string().into_bytes()));
        }
        let challenge = format!("Bearer realm=\"http://{}/token\"", request.headers["host"]);
        (authorization != Some("Bearer t"))
            .then(|| Fault::Answer(401, vec![("www-authenticate", challenge)], vec![]))
    });
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("auth.json");
    let host = registry.name("");
    let login = |password: &str| {
        let mut login = command(
            "sh",
            &[
                "-c",
                "printf %s \"$1\" | \"$2\" login \"$3\" -u bob --password-stdin",
                "sh",
                password,
                NIX_IMAGE,
                &host,
            ],
        );
        login.env("REGISTRY_AUTH_FILE", &file);
        login
    };
    let error = failure_of(&mut login("Wr0ng+secret"));
    assert!(error.contains("does not accept this password for `bob`"), "{error}");
    assert!(!error.contains("Wr0ng") && !error.contains(&STANDARD.encode("bob:Wr0ng+secret")));
    assert!(!file.exists());
    stdout_of(&mut login(PASSWORD));
    assert!(std::fs::read_to_string(&file).unwrap().contains(&echo));
}
