//! Finds the credentials stored for docker, podman or skopeo, and stores new ones where they look
//! for them.
//!
//! This deals with names, the environment and files. It contacts no server, but may run a
//! credential helper that a file names.

mod keep;
mod netrc;
mod sources;

use std::{env, fmt, io};

use docker_credential::{CredentialRetrievalError, DockerCredential, get_credential_from_reader};
use serde_json::{Map, Value};
use thiserror::Error;

use crate::Reference;
pub use keep::Place;
pub(super) use keep::{forget, save};
use sources::Source;

/// The key of Docker Hub in docker's own file.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// Why stored credentials cannot be used, or new ones cannot be stored. Their contents are never
/// shown.
#[derive(Debug, Error)]
#[error("{holder} {problem}")]
pub struct CredentialsError {
    /// The file or the variable.
    holder: String,
    problem: Problem,
}

/// What is wrong with a source of credentials.
#[derive(Debug, Error)]
enum Problem {
    /// It does not exist, although the user names it.
    #[error("is named by {0}, but cannot be found ({1}); log in, or unset the variable")]
    Missing(&'static str, io::Error),
    /// It is not a regular file.
    #[error("is not a regular file")]
    NotAFile,
    /// It is larger than a few MiB.
    #[error("is too large to hold credentials")]
    TooLarge,
    /// It cannot be read.
    #[error("is unreadable: {0}")]
    Unreadable(io::Error),
    /// It is not JSON.
    #[error("is not valid JSON")]
    Json,
    /// It is JSON, but a part of it has another type than in docker's file.
    #[error("is not in the format of docker's file; correct or remove it")]
    Format,
    /// One of its entries cannot be decoded.
    #[error("has a damaged `auth` for this registry; log in again")]
    Entry,
    /// The credential helper that it names for the registry cannot be run.
    #[error("names the credential helper `{0}`, which cannot be run; is it on PATH?")]
    Helper(String),
    /// The credential helper that it names for the registry fails.
    #[error(
        "names the credential helper `{0}`, which failed; try it separately, as with `docker login`"
    )]
    HelperFailed(String),
    /// The credential helper that it names for the registry returns something other than
    /// credentials.
    #[error("names the credential helper `{0}`, whose answer is not valid")]
    HelperAnswer(String),
    /// It cannot be written.
    #[error("cannot be written: {0}")]
    Unwritable(io::Error),
    /// It is in the Nix store.
    #[error(
        "is in the Nix store, where it cannot be changed and everyone can read it; name another \
         one with REGISTRY_AUTH_FILE"
    )]
    InNixStore,
    /// There is nowhere to store it.
    #[error("has no location, as neither HOME nor REGISTRY_AUTH_FILE is set; set one of them")]
    Nowhere,
}

/// Credentials for a registry. The `Debug` output hides them.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Credentials {
    /// A name and a password.
    Basic {
        /// The name.
        user: String,
        /// The password.
        password: String,
    },
    /// A token used to request other tokens.
    Identity(String),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Credentials(...)")
    }
}

impl Credentials {
    /// The credentials for the reference's registry or repository, if there are any.
    pub(super) fn find(reference: &Reference) -> Result<Option<Self>, CredentialsError> {
        Self::find_in(&sources::all(|name| env::var_os(name)), reference)
    }

    /// The strings to redact from messages.
    pub(super) fn secrets(&self) -> Vec<String> {
        match self {
            Self::Basic { user, password } => vec![password.clone(), format!("{user}:{password}")],
            Self::Identity(token) => vec![token.clone()],
        }
    }

    /// The credentials in the first of these sources that has the registry.
    fn find_in(
        sources: &[Source],
        reference: &Reference,
    ) -> Result<Option<Self>, CredentialsError> {
        for source in sources {
            let found = source.read().and_then(|text| match text {
                None => Ok(None),
                Some(text) if matches!(source, Source::Netrc(_)) => {
                    Ok(netrc::find(&text, reference))
                }
                Some(text) => Self::find_in_text(&text, reference),
            });
            let found = found
                .map_err(|problem| CredentialsError { holder: source.to_string(), problem })?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// The most specific credentials in a file, or what is wrong with the file.
    fn find_in_text(text: &[u8], reference: &Reference) -> Result<Option<Self>, Problem> {
        for key in keys(text, reference) {
            match get_credential_from_reader(text, &key) {
                Ok(DockerCredential::IdentityToken(token)) => {
                    return Ok(Some(Self::Identity(token)));
                }
                Ok(DockerCredential::UsernamePassword(user, _)) if user.is_empty() => {}
                Ok(DockerCredential::UsernamePassword(user, password)) => {
                    return Ok(Some(Self::Basic { user, password }));
                }
                Err(error) => problem(&error, text, &key).map_or(Ok(()), Err)?,
            }
        }
        Ok(None)
    }
}

/// The problem behind an error, or `None` if the error means that no credentials are stored. A
/// helper's output is left out, as it might contain a secret.
fn problem(error: &CredentialRetrievalError, text: &[u8], key: &str) -> Option<Problem> {
    let helper = || {
        let file: Map<String, Value> = serde_json::from_slice(text).unwrap_or_default();
        keep::helper(&file, key).unwrap_or_default()
    };
    match error {
        CredentialRetrievalError::NoCredentialConfigured
        | CredentialRetrievalError::ConfigNotFound
        // An entry without `auth`, as helpers leave behind, or a helper that has no credentials.
        | CredentialRetrievalError::HelperFailure { .. } => None,
        CredentialRetrievalError::HelperCommunicationError => Some(Problem::Helper(helper())),
        CredentialRetrievalError::MalformedHelperResponse => Some(Problem::HelperAnswer(helper())),
        CredentialRetrievalError::CredentialDecodingError
        | CredentialRetrievalError::CredentialMismatchError => Some(Problem::Entry),
        CredentialRetrievalError::ConfigReadError => Some(wrong(text)),
    }
}

/// The problem of a text that is not in the format of docker's file.
fn wrong(text: &[u8]) -> Problem {
    match serde_json::from_slice::<serde::de::IgnoredAny>(text) {
        Ok(_) => Problem::Format,
        Err(_) => Problem::Json,
    }
}

/// Checks that a text is in the format of docker's file. No helper is asked.
fn check_format(text: &[u8]) -> Result<(), Problem> {
    /// A registry that no file has.
    const NONE: &str = "registry.invalid";
    let mut file: Map<String, Value> = serde_json::from_slice(text).map_err(|_| wrong(text))?;
    if file.shift_remove("credsStore").is_some_and(|store| !store.is_string() && !store.is_null()) {
        return Err(Problem::Format);
    }
    let without_store = Value::Object(file).to_string();
    match get_credential_from_reader(without_store.as_bytes(), NONE) {
        Err(CredentialRetrievalError::ConfigReadError) => Err(Problem::Format),
        _ => Ok(()),
    }
}

/// The keys under which a file may have the credentials, the most specific first. Longer keys are
/// included only if the file has them, as each missing one would run its helper.
fn keys(text: &[u8], reference: &Reference) -> Vec<String> {
    let file: Value = serde_json::from_slice(text).unwrap_or_default();
    let known =
        |key: &str| ["auths", "credHelpers"].iter().any(|table| file[*table].get(key).is_some());
    let name = reference.resolved().name();
    let ends = name.match_indices('/').map(|(end, _)| end).chain([name.len()]).skip(1);
    let mut keys: Vec<String> = ends.map(|end| name[..end].to_owned()).collect();
    keys.reverse();
    let registry = reference.registry();
    let hub = registry == "docker.io";
    if hub {
        keys.push(registry.into());
    }
    keys.push(format!("https://{registry}"));
    keys.retain(|key| known(key));
    keys.push(if hub { DOCKER_HUB.into() } else { registry.into() });
    keys
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn find(file: &str, name: &str) -> Result<Option<Credentials>, CredentialsError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("auth.json");
        fs::write(&path, file).unwrap();
        let files = [directory.path().join("absent"), path].map(Source::File);
        Credentials::find_in(&files, &name.parse().unwrap())
    }

    fn basic(user: &str, password: &str) -> Credentials {
        Credentials::Basic { user: user.into(), password: password.into() }
    }

    #[test]
    fn the_closest_entry_holds() {
        // u:p, v:q, w:r
        let file = r#"{"auths": {"ghcr.io": {"auth": "dTpw"}, "ghcr.io/me": {"auth": "djpx"},
            "https://index.docker.io/v1/": {"auth": "dzpy"}, "quay.io": {},
            "reg.example.com:5000": {"username": "x", "password": "s"},
            "token.io": {"identitytoken": "t"}}}"#;
        assert_eq!(find(file, "ghcr.io/a/b").unwrap(), Some(basic("u", "p")));
        assert_eq!(find(file, "ghcr.io/me/b").unwrap(), Some(basic("v", "q")));
        assert_eq!(find(file, "app").unwrap(), Some(basic("w", "r")));
        assert_eq!(find(file, "quay.io/app").unwrap(), None);
        assert_eq!(find(file, "other.io/app").unwrap(), None);
        assert_eq!(find(file, "reg.example.com:5000/app").unwrap(), Some(basic("x", "s")));
        let token = Some(Credentials::Identity("t".into()));
        assert_eq!(find(file, "token.io/app").unwrap(), token);
    }

    #[test]
    fn damaged_files_are_named_and_secrets_are_not() {
        for file in [
            r#"{"auths": {"ghcr.io": {"auth": "c2VjcmV0"}}}"#,
            r#"{"auths": {"ghcr.io": {"auth": "c2VjcmV0OnNlY3JldA==", "username": "secret", "password": "other"}}}"#,
            r#"{"auths": {"ghcr.io": "secret"#,
            r#"{"credHelpers": {"ghcr.io": "there-is-no-such-helper"}}"#,
        ] {
            let error = find(file, "ghcr.io/a/b").unwrap_err().to_string();
            assert!(error.contains("auth.json") && !error.contains("secret"), "{error}");
            let is_named = error.contains("`docker-credential-there-is-no-such-helper`");
            assert_eq!(is_named, file.contains("credHelpers"), "{error}");
        }
        assert_eq!(format!("{:?}", basic("u", "p")), "Credentials(...)");
    }

    #[test]
    fn files_that_cannot_be_read_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let absent = directory.path().join("absent");
        let find = |source| Credentials::find_in(&[source], &"ghcr.io/a".parse().unwrap());
        assert_eq!(find(Source::File(absent.clone())).unwrap(), None);
        let error = find(Source::Named(absent)).unwrap_err().to_string();
        assert!(error.contains("/absent` is named by REGISTRY_AUTH_FILE"), "{error}");
        let pipe = directory.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
        for source in [Source::File(pipe.clone()), Source::Named(pipe)] {
            let error = find(source).unwrap_err().to_string();
            assert!(error.contains("/pipe` is not a regular file"), "{error}");
        }
    }

    #[test]
    fn what_the_variable_lacks_is_looked_for_in_files() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.json");
        let text = r#"{"auths": {"ghcr.io": {"auth": "djpx"}, "quay.io": {"auth": "djpx"}}}"#;
        fs::write(&path, text).unwrap();
        let find = |variable: &str, name: &str| {
            let sources = [Source::Variable(variable.into()), Source::File(path.clone())];
            Credentials::find_in(&sources, &name.parse().unwrap())
        };
        let variable = r#"{"auths": {"ghcr.io": {"auth": "dTpw"}}}"#;
        assert_eq!(find(variable, "ghcr.io/a").unwrap(), Some(basic("u", "p")));
        assert_eq!(find(variable, "quay.io/a").unwrap(), Some(basic("v", "q")));
        assert_eq!(find(variable, "other.io/a").unwrap(), None);
        let error = find(r#"{"secret"#, "ghcr.io/a").unwrap_err().to_string();
        assert!(error.contains("DOCKER_AUTH_CONFIG is not valid JSON"), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
}
