//! Fuzzes files with names and passwords.

use std::fs;
use std::sync::{Arc, LazyLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use oci::Reference;
use oci::registry::{Client, Login, Options, RegistryError, Repository};
use serde_json::Value;

use super::server::Server;
use super::{check, set_environment};
use crate::targets::{parts, scratch};

const ASKS: &[u8] = b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"r\"\r\n\
    Content-Length: 0\r\nConnection: close\r\n\r\n";
const PASSWORD: &str = "fuzz:p4ssw0rd:x";

static SERVER: LazyLock<Server> = LazyLock::new(|| Server::tcp(ASKS));

/// Sets the paths of the files, and a PATH without any credential helpers.
pub fn prepare() {
    set_environment(&[
        ("REGISTRY_AUTH_FILE", scratch::path("auth.json").to_str().unwrap()),
        ("NETRC", scratch::path("netrc").to_str().unwrap()),
        ("PATH", "/nix-image-fuzz"),
        ("DOCKER_AUTH_CONFIG", ""),
    ]);
}

/// Files in the formats of docker, podman and curl. The credentials of a login are sent until they
/// are removed again, and other entries stay. Errors do not reveal the content of a file. In an
/// input, `$r` is the registry.
pub fn credentials(input: &[u8]) {
    let registry = &SERVER.address;
    let parts = parts::split(input);
    let file = |number, name| {
        let values = [("$r".into(), registry.clone())];
        let text = parts::fill(&parts::text(parts.get(number)), &values);
        scratch::file(name, text.as_bytes());
        text
    };
    let (text, _) = (file(0, "auth.json"), file(1, "netrc"));
    let secrets = secrets(&text);
    let secrets: Vec<&str> = secrets.iter().map(String::as_str).collect();
    let said = |error: RegistryError| check(&error, &secrets);
    let _ = sent().map_err(said);
    let (user, password) = PASSWORD.split_once(':').unwrap();
    let login = Login { registry: registry.clone(), user: user.into(), password: password.into() };
    let read = || fs::read_to_string(scratch::path("auth.json")).unwrap();
    if let Err(error) = login.save() {
        check(&error, &secrets);
        assert_eq!(read(), text, "a file was changed though the login failed");
        return;
    }
    let kept = sent().unwrap_or_else(|error| panic!("{error}\n{text}\n{}", read()));
    assert_eq!(kept.as_deref(), Some(PASSWORD), "{text}\n{}", read());
    let others = |text: &str| {
        let mut file: Value = serde_json::from_str(text).unwrap_or_default();
        let auths = file.get_mut("auths").and_then(Value::as_object_mut);
        auths.into_iter().for_each(|auths| auths.retain(|name, _| !name.contains(&**registry)));
        // An empty file gets its first object.
        if file["auths"].as_object().is_some_and(serde_json::Map::is_empty) {
            file.as_object_mut().unwrap().remove("auths");
        }
        file.as_object().cloned().unwrap_or_default()
    };
    assert!(others(&read()) == others(&text), "{text}\n{}", read());
    Login::forget(registry).unwrap();
    let left = sent().unwrap_or_else(|error| panic!("{error}\n{text}\n{}", read()));
    assert_ne!(left.as_deref(), Some(PASSWORD), "{text}\n{}", read());
}

/// The name and password sent with a request to the registry.
fn sent() -> Result<Option<String>, RegistryError> {
    SERVER.answer_with(Vec::new());
    let reference = Reference::parse(&format!("{}/fuzz/app:1", SERVER.address)).unwrap();
    let client = Client::new(&reference, false, &[], &Options::default())?;
    let answer = Repository::new(&Arc::new(client), "fuzz/app").manifest("1");
    assert!(answer.is_err(), "it is let in");
    let requests = SERVER.requests().join("");
    let header = requests.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("authorization").then(|| value.strip_prefix("Basic "))?
    });
    Ok(header.map(|text| String::from_utf8(STANDARD.decode(text.trim()).unwrap()).unwrap()))
}

/// The strings in a file that no message may contain: all but names.
fn secrets(text: &str) -> Vec<String> {
    let file: Value = serde_json::from_str(text).unwrap_or_default();
    let entries = file["auths"].as_object().into_iter().flatten();
    let fields = entries.filter_map(|(_, entry)| entry.as_object()).flatten();
    let secrets = fields.filter_map(|(_, value)| value.as_str());
    let is_telling =
        |text: &&str| text.len() > 7 && text.bytes().all(|b| b.is_ascii_alphanumeric());
    secrets.filter(is_telling).map(str::to_owned).collect()
}
