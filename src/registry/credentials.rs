//! Finds the credentials that docker, podman or skopeo were given.

use std::env;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use docker_credential::{CredentialRetrievalError, DockerCredential, get_credential_from_reader};
use serde_json::Value;

use super::{Reference, RegistryError};

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
        Self::find_in(&files(|name| env::var_os(name).map(PathBuf::from)), reference)
    }

    /// What no message may repeat.
    pub(super) fn secret(&self) -> &str {
        match self {
            Self::Basic { password, .. } => password,
            Self::Identity(token) => token,
        }
    }

    /// The credentials that the first of these files to know the registry has.
    fn find_in(files: &[PathBuf], reference: &Reference) -> Result<Option<Self>, RegistryError> {
        for file in files {
            let failed = |problem: String| RegistryError::Login {
                registry: reference.registry.clone(),
                problem: format!("the file `{}` {problem}", file.display()),
            };
            let Ok(metadata) = fs::metadata(file) else { continue };
            if metadata.len() > MAX_FILE {
                return Err(failed("is too large to hold credentials".into()));
            }
            let text = fs::read(file).map_err(|error| failed(format!("is unreadable: {error}")))?;
            for key in keys(&text, reference) {
                match get_credential_from_reader(text.as_slice(), &key) {
                    Ok(DockerCredential::IdentityToken(token)) => {
                        return Ok(Some(Self::Identity(token)));
                    }
                    Ok(DockerCredential::UsernamePassword(user, _)) if user.is_empty() => {}
                    Ok(DockerCredential::UsernamePassword(user, password)) => {
                        return Ok(Some(Self::Basic { user, password }));
                    }
                    Err(error) => {
                        if let Some(problem) = problem(&error) {
                            return Err(failed(problem));
                        }
                    }
                }
            }
        }
        Ok(None)
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

/// The files in which credentials are looked for, in this order: podman's and skopeo's, docker's.
fn files(variable: impl Fn(&str) -> Option<PathBuf>) -> Vec<PathBuf> {
    if let Some(file) = variable("REGISTRY_AUTH_FILE") {
        return vec![file];
    }
    let home = variable("HOME");
    let under_home = |path: &str| home.as_ref().map(|home| home.join(path));
    let config_home = variable("XDG_CONFIG_HOME").or_else(|| under_home(".config"));
    let containers = |directory: PathBuf| directory.join("containers/auth.json");
    let docker = variable("DOCKER_CONFIG").or_else(|| under_home(".docker"));
    let files = [
        variable("XDG_RUNTIME_DIR").map(containers),
        config_home.map(containers),
        docker.map(|directory| directory.join("config.json")),
    ];
    files.into_iter().flatten().filter(|file: &PathBuf| Path::is_absolute(file)).collect()
}

/// What a file may have the credentials under, the closest first. The longer names only where the
/// file has them, as each one that it lacks would start its helper.
fn keys(text: &[u8], reference: &Reference) -> Vec<String> {
    let file: Value = serde_json::from_slice(text).unwrap_or_default();
    let known =
        |key: &str| ["auths", "credHelpers"].iter().any(|table| file[*table].get(key).is_some());
    let name = reference.name();
    let ends = name.match_indices('/').map(|(end, _)| end).chain([name.len()]).skip(1);
    let mut keys: Vec<String> = ends.map(|end| name[..end].to_owned()).collect();
    keys.reverse();
    let hub = reference.registry == "docker.io";
    if hub {
        keys.extend([reference.registry.clone()]);
    }
    keys.extend([format!("https://{}", reference.registry)]);
    keys.retain(|key| known(key));
    keys.push(if hub { DOCKER_HUB.into() } else { reference.registry.clone() });
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(file: &str, name: &str) -> Result<Option<Credentials>, RegistryError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("auth.json");
        fs::write(&path, file).unwrap();
        Credentials::find_in(&[directory.path().join("absent"), path], &name.parse().unwrap())
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
    fn the_files_are_those_of_podman_and_docker() {
        let variables = |set: &'static [(&str, &str)]| {
            move |name: &str| {
                set.iter().find(|(known, _)| *known == name).map(|(_, value)| PathBuf::from(value))
            }
        };
        let names = |set| -> Vec<String> {
            files(variables(set)).iter().map(|file| file.display().to_string()).collect()
        };
        assert_eq!(names(&[("REGISTRY_AUTH_FILE", "/a"), ("HOME", "/h")]), ["/a"]);
        assert_eq!(
            names(&[("XDG_RUNTIME_DIR", "/run"), ("HOME", "/h")]),
            [
                "/run/containers/auth.json",
                "/h/.config/containers/auth.json",
                "/h/.docker/config.json"
            ]
        );
        assert_eq!(names(&[("DOCKER_CONFIG", "/d")]), ["/d/config.json"]);
    }
}
