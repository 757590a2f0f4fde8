//! Stores credentials in the files that docker, podman and skopeo read, and removes them again.
//!
//! Only the registry's entry in a file changes. If the file names a credential helper for the
//! registry, the helper gets the secret and the entry is empty, as in docker.

use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize as _;
use serde_json::ser::{PrettyFormatter, Serializer};
use serde_json::{Map, Value, json};

use super::sources::{self, Source};
use super::{CredentialsError, DOCKER_HUB, Problem, check_format};
use crate::registry::Login;

/// Files in here are never written.
const NIX_STORE: &str = "/nix/store";

/// Where a login is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A file.
    File(PathBuf),
    /// A credential helper, by its program's name.
    Helper(String),
}

/// Stores credentials in the last file in the search order, docker's, which all these programs
/// read, and in earlier files that have an entry for the registry, since that would take
/// precedence.
pub(in crate::registry) fn save(login: &Login) -> Result<Vec<Place>, CredentialsError> {
    save_in(&sources::all(|name| std::env::var_os(name)), login)
}

/// Removes the credentials for a registry from all files, and from the helpers that they name.
pub(in crate::registry) fn forget(registry: &str) -> Result<Vec<Place>, CredentialsError> {
    forget_in(&sources::all(|name| std::env::var_os(name)), registry)
}

fn save_in(sources: &[Source], login: &Login) -> Result<Vec<Place>, CredentialsError> {
    let files: Vec<&Source> = files(sources).collect();
    let Some((last, before)) = files.split_last() else {
        let holder = "a file for credentials".to_owned();
        return Err(CredentialsError { holder, problem: Problem::Nowhere });
    };
    let mut kept = Vec::new();
    for source in before.iter().chain([last]) {
        let keep = || {
            let mut file = Keyring::open(source)?;
            let known = file.keys(&login.registry);
            if known.is_empty() && source != last {
                return Ok(None);
            }
            let key = known.into_iter().next();
            file.put(&key.unwrap_or_else(|| file.new_key(&login.registry)), login).map(Some)
        };
        kept.extend(keep().map_err(|problem| error(source, problem))?);
    }
    Ok(kept)
}

fn forget_in(sources: &[Source], registry: &str) -> Result<Vec<Place>, CredentialsError> {
    let mut removed = Vec::new();
    for source in files(sources) {
        let remove = || {
            let mut file = Keyring::open(source)?;
            match &*file.keys(registry) {
                [] => Ok(Vec::new()),
                keys => file.remove(keys),
            }
        };
        removed.extend(remove().map_err(|problem| error(source, problem))?);
    }
    Ok(removed)
}

/// The writable sources: files in docker's format.
fn files(sources: &[Source]) -> impl Iterator<Item = &Source> {
    sources.iter().filter(|source| matches!(source, Source::File(_) | Source::Named(_)))
}

fn error(source: &Source, problem: Problem) -> CredentialsError {
    CredentialsError { holder: source.to_string(), problem }
}

/// A file with credentials.
struct Keyring {
    path: PathBuf,
    content: Map<String, Value>,
}

impl Keyring {
    /// Reads a file. A missing one is empty.
    fn open(source: &Source) -> Result<Self, Problem> {
        let (Source::File(path) | Source::Named(path)) = source else {
            return Err(Problem::NotAFile);
        };
        // `REGISTRY_AUTH_FILE` may name a file that does not exist yet.
        let text = Source::File(path.clone()).read()?.unwrap_or_default();
        let content = if text.trim_ascii().is_empty() {
            Map::new()
        } else {
            // What cannot be read may not be changed: the login would not be found in it.
            check_format(&text)?;
            serde_json::from_slice(&text).map_err(|_| Problem::Json)?
        };
        Ok(Self { path: path.clone(), content })
    }

    /// The keys of a registry's entries.
    fn keys(&self, registry: &str) -> Vec<String> {
        let mut keys = vec![registry.to_owned(), format!("https://{registry}")];
        if registry == "docker.io" {
            keys.extend([DOCKER_HUB, "index.docker.io"].map(str::to_owned));
        }
        let tables = ["auths", "credHelpers"].map(|table| self.content.get(table));
        let has = |key: &String| tables.iter().flatten().any(|table| table.get(key).is_some());
        keys.retain(has);
        keys
    }

    /// The key for a new entry. Docker's file has a special one for Docker Hub.
    fn new_key(&self, registry: &str) -> String {
        let is_dockers = self.path.file_name().is_some_and(|name| name == "config.json");
        if registry == "docker.io" && is_dockers { DOCKER_HUB.into() } else { registry.into() }
    }

    /// The credential helper for a registry.
    fn helper(&self, key: &str) -> Result<Option<String>, Problem> {
        match helper(&self.content, key) {
            // It is a suffix of a program's name, not a path.
            Some(program) if program.contains('/') => Err(Problem::Helper(program)),
            program => Ok(program),
        }
    }

    /// Stores a login, and returns where.
    fn put(&mut self, key: &str, login: &Login) -> Result<Place, Problem> {
        let Login { user, password, .. } = login;
        let helper = self.helper(key)?;
        let entry = match &helper {
            Some(helper) => {
                let secret = json!({ "ServerURL": key, "Username": user, "Secret": password });
                ask(helper, "store", &secret.to_string())?;
                json!({})
            }
            None => json!({ "auth": STANDARD.encode(format!("{user}:{password}")) }),
        };
        let auths = self.content.entry("auths").or_insert_with(|| json!({}));
        auths.as_object_mut().ok_or(Problem::Format)?.insert(key.to_owned(), entry);
        self.write()?;
        Ok(match helper {
            Some(helper) => Place::Helper(helper),
            None => Place::File(self.path.clone()),
        })
    }

    /// Removes entries, and returns from where. An entry for a helper holds no password, so the
    /// file counts only if it held one.
    fn remove(&mut self, keys: &[String]) -> Result<Vec<Place>, Problem> {
        let mut places = Vec::new();
        for key in keys {
            let place = match self.helper(key)? {
                Some(helper) => {
                    ask(&helper, "erase", key)?;
                    Place::Helper(helper)
                }
                None => Place::File(self.path.clone()),
            };
            if !places.contains(&place) {
                places.push(place);
            }
            if let Some(auths) = self.content.get_mut("auths").and_then(Value::as_object_mut) {
                auths.shift_remove(key);
            }
        }
        self.write()?;
        Ok(places)
    }

    /// Replaces the file, readable only by its owner.
    fn write(&self) -> Result<(), Problem> {
        // A symlink to a file elsewhere stays one.
        let path = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        if path.starts_with(NIX_STORE) {
            return Err(Problem::InNixStore);
        }
        let mut text = Vec::new();
        let mut json = Serializer::with_formatter(&mut text, PrettyFormatter::with_indent(b"\t"));
        self.content.serialize(&mut json).map_err(|_| Problem::Json)?;
        text.push(b'\n');
        replace(&path, &text).map_err(Problem::Unwritable)
    }
}

/// The program of the credential helper that a file names for a registry.
pub(super) fn helper(file: &Map<String, Value>, key: &str) -> Option<String> {
    let own = file.get("credHelpers").and_then(|helpers| helpers.get(key));
    let named = own.or_else(|| file.get("credsStore")).and_then(Value::as_str);
    let name = named.filter(|name| !name.is_empty())?;
    Some(format!("docker-credential-{name}"))
}

/// Writes a file completely before it replaces the one at this path.
fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = directory.unwrap_or(Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let mut file = tempfile::Builder::new()
        .prefix(".nix-image-")
        .permissions(Permissions::from_mode(0o600))
        .tempfile_in(directory)?;
    if let Ok(old) = fs::metadata(path) {
        // If root logs in for a user, the file remains the user's, where permitted.
        let _ = fchown(file.as_file(), Some(old.uid()), Some(old.gid()));
    }
    file.write_all(text)?;
    file.as_file().sync_all()?;
    let _: File = file.persist(path)?;
    Ok(())
}

/// Runs a credential helper. Its output is not shown, as it might contain a secret.
fn ask(helper: &str, command: &str, input: &str) -> Result<(), Problem> {
    let mut child = Command::new(helper)
        .arg(command)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|_| Problem::Helper(helper.to_owned()))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that reads nothing still reports success by its status.
        let _ = stdin.write_all(input.as_bytes());
    }
    let failed = || Problem::HelperFailed(helper.to_owned());
    let status = child.wait().map_err(|_| failed())?;
    if status.success() { Ok(()) } else { Err(failed()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Reference;
    use crate::registry::credentials::Credentials;

    fn login(registry: &str, password: &str) -> Login {
        Login { registry: registry.into(), user: "u".into(), password: password.into() }
    }

    fn found(sources: &[Source], name: &str) -> Option<Credentials> {
        let reference: Reference = name.parse().unwrap();
        Credentials::find_in(sources, &reference).unwrap()
    }

    fn basic(password: &str) -> Credentials {
        Credentials::Basic { user: "u".into(), password: password.into() }
    }

    #[test]
    fn what_is_kept_is_found_and_what_is_forgotten_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new/config.json");
        let sources =
            [Source::File(directory.path().join("auth.json")), Source::File(path.clone())];
        for registry in ["ghcr.io", "docker.io", "localhost:5000"] {
            for password in ["a", "b: ü"] {
                save_in(&sources, &login(registry, password)).unwrap();
                assert_eq!(found(&sources, &format!("{registry}/x")), Some(basic(password)));
            }
        }
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert!(fs::read_to_string(&path).unwrap().contains(DOCKER_HUB));
        assert_eq!(forget_in(&sources, "docker.io").unwrap().len(), 1);
        assert_eq!(found(&sources, "app"), None);
        assert_eq!(found(&sources, "ghcr.io/x"), Some(basic("b: ü")));
        assert!(forget_in(&sources, "docker.io").unwrap().is_empty());
    }

    #[test]
    fn an_entry_that_would_hide_a_new_one_is_replaced_and_the_rest_stays() {
        let directory = tempfile::tempdir().unwrap();
        let [podmans, dockers] =
            ["auth.json", "config.json"].map(|name| directory.path().join(name));
        fs::write(&podmans, r#"{"auths":{"a.io":{"auth":"dTpvbGQ="},"b.io":{"auth":"dTpvbGQ="}}}"#)
            .unwrap();
        fs::write(&dockers, r#"{"psFormat":"{{.ID}}","currentContext":"x"}"#).unwrap();
        let sources = [Source::File(podmans), Source::File(dockers.clone())];
        assert_eq!(save_in(&sources, &login("a.io", "new")).unwrap().len(), 2);
        assert_eq!(found(&sources, "a.io/x"), Some(basic("new")));
        assert_eq!(found(&sources[1..], "a.io/x"), Some(basic("new")));
        assert_eq!(found(&sources, "b.io/x"), Some(basic("old")));
        let text = fs::read_to_string(dockers).unwrap();
        assert!(
            text.starts_with("{\n\t\"psFormat\": \"{{.ID}}\",\n\t\"currentContext\""),
            "{text}"
        );
    }

    /// A netrc file is read as well, but has a different format.
    #[test]
    fn what_netrc_names_is_not_written() {
        let directory = tempfile::tempdir().unwrap();
        let [dockers, netrc] = ["config.json", "netrc"].map(|name| directory.path().join(name));
        let text = "machine a.io login u password old";
        fs::write(&netrc, text).unwrap();
        let sources = [Source::File(dockers), Source::Netrc(netrc.clone())];
        assert_eq!(save_in(&sources, &login("a.io", "new")).unwrap().len(), 1);
        assert_eq!(found(&sources, "a.io/x"), Some(basic("new")));
        assert_eq!(forget_in(&sources, "a.io").unwrap().len(), 1);
        assert_eq!(found(&sources, "a.io/x"), Some(basic("old")));
        assert_eq!(fs::read_to_string(netrc).unwrap(), text);
        assert!(save_in(&sources[1..], &login("a.io", "x")).is_err());
    }

    #[test]
    fn files_that_cannot_be_changed_stay_and_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.json");
        let sources = [Source::File(path.clone())];
        for (text, problem) in [
            ("{\"auths\"", "is not valid JSON"),
            ("[]", "is not in the format of docker's file"),
            (r#"{"auths":[]}"#, "is not in the format of docker's file"),
            (r#"{"auths":{"b.io":"x"}}"#, "is not in the format of docker's file"),
            (r#"{"credsStore":1}"#, "is not in the format of docker's file"),
            (r#"{"credHelpers":{"b.io":1}}"#, "is not in the format of docker's file"),
            (
                r#"{"credsStore":"../bin/evil"}"#,
                "`docker-credential-../bin/evil`, which cannot be run",
            ),
            (
                r#"{"credsStore":"there-is-no-such-helper"}"#,
                "`docker-credential-there-is-no-such-helper`, which cannot be run",
            ),
        ] {
            fs::write(&path, text).unwrap();
            let error = save_in(&sources, &login("a.io", "secret")).unwrap_err().to_string();
            assert!(error.contains("config.json") && error.contains(problem), "{text}: {error}");
            assert!(!error.contains("secret"));
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert!(save_in(&[], &login("a.io", "x")).is_err());
    }
}
