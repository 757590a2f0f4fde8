//! Finds the credentials that docker, podman or skopeo were given.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::PathBuf;

use docker_credential::{CredentialRetrievalError, DockerCredential, get_credential_from_reader};
use serde_json::Value;

use super::RegistryError;
use crate::Reference;

/// The key of Docker Hub in docker's own file.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";
/// The largest file of credentials that is read.
const MAX_FILE: u64 = 4 << 20;

/// What to log in with. Shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A name and a password.
    Basic {
        /// The name.
        user: String,
        /// The password.
        password: String,
    },
    /// A token that makes other tokens.
    Identity(String),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Credentials(...)")
    }
}

impl Credentials {
    /// The credentials for a registry, or for a part of it, if there are any.
    pub fn find(reference: &Reference) -> Result<Option<Self>, RegistryError> {
        Self::find_in(&sources(|name| env::var_os(name)), reference)
    }

    /// What no message may repeat.
    pub(super) fn secrets(&self) -> Vec<String> {
        match self {
            Self::Basic { user, password } => vec![password.clone(), format!("{user}:{password}")],
            Self::Identity(token) => vec![token.clone()],
        }
    }

    /// The credentials that the first of these sources to know the registry has.
    fn find_in(sources: &[Source], reference: &Reference) -> Result<Option<Self>, RegistryError> {
        for source in sources {
            let found = source.read().and_then(|text| match text {
                None => Ok(None),
                Some(text) => Self::find_in_text(&text, reference),
            });
            let found = found.map_err(|problem| RegistryError::Login {
                registry: reference.registry().into(),
                problem: format!("{source} {problem}"),
            })?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// The closest credentials that a file has; or what is wrong with it.
    fn find_in_text(text: &[u8], reference: &Reference) -> Result<Option<Self>, String> {
        for key in keys(text, reference) {
            match get_credential_from_reader(text, &key) {
                Ok(DockerCredential::IdentityToken(token)) => {
                    return Ok(Some(Self::Identity(token)));
                }
                Ok(DockerCredential::UsernamePassword(user, _)) if user.is_empty() => {}
                Ok(DockerCredential::UsernamePassword(user, password)) => {
                    return Ok(Some(Self::Basic { user, password }));
                }
                Err(error) => problem(&error).map_or(Ok(()), Err)?,
            }
        }
        Ok(None)
    }
}

/// Where credentials may be.
#[derive(Clone, PartialEq, Eq)]
enum Source {
    File(PathBuf),
    /// The file that `REGISTRY_AUTH_FILE` names, which has to be there.
    Named(PathBuf),
    /// What `DOCKER_AUTH_CONFIG` holds: the same as docker's file.
    Variable(OsString),
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) | Self::Named(file) => {
                write!(formatter, "the file `{}`", file.display())
            }
            Self::Variable(_) => formatter.write_str("the variable DOCKER_AUTH_CONFIG"),
        }
    }
}

impl Source {
    /// The text, if there is such a file.
    fn read(&self) -> Result<Option<Vec<u8>>, String> {
        let file = match self {
            Self::File(file) | Self::Named(file) => file,
            Self::Variable(text) => return Ok(Some(text.as_encoded_bytes().to_vec())),
        };
        let metadata = match (fs::metadata(file), self) {
            (Ok(metadata), _) => metadata,
            (Err(error), Self::Named(_)) => {
                return Err(format!(
                    "is named by REGISTRY_AUTH_FILE, but cannot be found ({error}); log in, or \
                     unset the variable"
                ));
            }
            (Err(_), _) => return Ok(None),
        };
        // A pipe that nobody writes to would be waited for without end.
        if !metadata.is_file() {
            return Err("is not a regular file".into());
        }
        if metadata.len() > MAX_FILE {
            return Err("is too large to hold credentials".into());
        }
        fs::read(file).map(Some).map_err(|error| format!("is unreadable: {error}"))
    }
}

/// What to tell of an error; nothing where it means that there are no credentials. Never what a
/// helper printed, which might be a secret.
fn problem(error: &CredentialRetrievalError) -> Option<String> {
    match error {
        CredentialRetrievalError::NoCredentialConfigured
        | CredentialRetrievalError::ConfigNotFound
        // An entry without `auth`, such as helpers leave behind, or a helper that knows nothing.
        | CredentialRetrievalError::HelperFailure { .. } => None,
        CredentialRetrievalError::HelperCommunicationError => {
            Some("names a credential helper that cannot be run".into())
        }
        CredentialRetrievalError::MalformedHelperResponse => {
            Some("names a credential helper whose answer makes no sense".into())
        }
        CredentialRetrievalError::CredentialDecodingError
        | CredentialRetrievalError::CredentialMismatchError => {
            Some("has an `auth` for it that is damaged; log in again".into())
        }
        CredentialRetrievalError::ConfigReadError => Some("is not valid JSON".into()),
    }
}

/// Where credentials are looked for, in this order. The file that is named is podman's and
/// skopeo's only one; the variable goes before docker's files, as in docker, and before theirs, as
/// it is set for the one call or job.
fn sources(variable: impl Fn(&str) -> Option<OsString>) -> Vec<Source> {
    let variable = |name: &str| variable(name).filter(|text| !text.is_empty());
    let given = variable("DOCKER_AUTH_CONFIG").map(Source::Variable);
    let folder = |name: &str| variable(name).map(PathBuf::from);
    if let Some(file) = folder("REGISTRY_AUTH_FILE") {
        return [Source::Named(file)].into_iter().chain(given).collect();
    }
    let home = folder("HOME");
    let under_home = |path: &str| home.as_ref().map(|home| home.join(path));
    let config_home = folder("XDG_CONFIG_HOME").or_else(|| under_home(".config"));
    // The specification of these folders has relative ones ignored.
    let containers = |directory: PathBuf| {
        directory.is_absolute().then(|| directory.join("containers/auth.json"))
    };
    let docker = folder("DOCKER_CONFIG").or_else(|| under_home(".docker"));
    let files = [
        folder("XDG_RUNTIME_DIR").and_then(containers),
        config_home.and_then(containers),
        docker.map(|directory| directory.join("config.json")),
    ];
    let files = files.into_iter().flatten();
    given.into_iter().chain(files.map(Source::File)).collect()
}

/// What a file may have the credentials under, the closest first. The longer names only where the
/// file has them, as each one that it lacks would start its helper.
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

    fn find(file: &str, name: &str) -> Result<Option<Credentials>, RegistryError> {
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
        }
        assert_eq!(format!("{:?}", basic("u", "p")), "Credentials(...)");
    }

    #[test]
    fn the_sources_are_those_of_podman_and_docker() {
        let names = |set: &[(&str, &str)]| -> Vec<String> {
            let variable = |name: &str| {
                let found = set.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| OsString::from(value))
            };
            sources(variable).iter().map(ToString::to_string).collect()
        };
        let file = |name: &str| format!("the file `{name}`");
        let variable = "the variable DOCKER_AUTH_CONFIG".to_owned();
        assert_eq!(names(&[("REGISTRY_AUTH_FILE", "/a"), ("HOME", "/h")]), [file("/a")]);
        assert_eq!(
            names(&[("XDG_RUNTIME_DIR", "/run"), ("HOME", "/h"), ("DOCKER_AUTH_CONFIG", "{}")]),
            [
                variable.clone(),
                file("/run/containers/auth.json"),
                file("/h/.config/containers/auth.json"),
                file("/h/.docker/config.json"),
            ]
        );
        assert_eq!(names(&[("DOCKER_CONFIG", "/d")]), [file("/d/config.json")]);
        assert_eq!(names(&[("DOCKER_CONFIG", "/d"), ("DOCKER_AUTH_CONFIG", "")]).len(), 1);
        assert_eq!(names(&[("DOCKER_CONFIG", "d"), ("HOME", "/h")])[1..], [file("d/config.json")]);
        // Variables that are empty are as good as not set.
        let empty = ["REGISTRY_AUTH_FILE", "DOCKER_CONFIG", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"];
        let empty: Vec<_> =
            empty.map(|name| (name, "")).into_iter().chain([("HOME", "/h")]).collect();
        assert_eq!(names(&empty), names(&[("HOME", "/h")]));
        assert_eq!(names(&empty).len(), 2);
        let both = [("REGISTRY_AUTH_FILE", "/a"), ("DOCKER_AUTH_CONFIG", "{}"), ("HOME", "/h")];
        assert_eq!(names(&both), [file("/a"), variable]);
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
