//! The files and variables that may hold credentials.

use std::ffi::OsString;
use std::path::PathBuf;
use std::{fmt, fs};

use super::Problem;

/// The maximum size of a file with credentials.
const MAX_FILE: u64 = 4 << 20;

/// A place that may have credentials.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Source {
    File(PathBuf),
    /// The file that `REGISTRY_AUTH_FILE` names, which must exist.
    Named(PathBuf),
    /// The file that `NETRC` names, which must exist: names and passwords for hosts, in the format
    /// of curl and Nix.
    Netrc(PathBuf),
    /// The contents of `DOCKER_AUTH_CONFIG`, in the format of docker's file.
    Variable(OsString),
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) | Self::Named(file) | Self::Netrc(file) => {
                write!(formatter, "the file `{}`", file.display())
            }
            Self::Variable(_) => formatter.write_str("the variable DOCKER_AUTH_CONFIG"),
        }
    }
}

impl Source {
    /// The contents, if the source exists.
    pub(super) fn read(&self) -> Result<Option<Vec<u8>>, Problem> {
        let file = match self {
            Self::File(file) | Self::Named(file) | Self::Netrc(file) => file,
            Self::Variable(text) => return Ok(Some(text.as_encoded_bytes().to_vec())),
        };
        let metadata = match (fs::metadata(file), self) {
            (Ok(metadata), _) => metadata,
            (Err(error), Self::Named(_)) => {
                return Err(Problem::Missing("REGISTRY_AUTH_FILE", error));
            }
            (Err(error), Self::Netrc(_)) => return Err(Problem::Missing("NETRC", error)),
            (Err(_), _) => return Ok(None),
        };
        // Reading from a pipe without a writer would never end.
        if !metadata.is_file() {
            return Err(Problem::NotAFile);
        }
        if metadata.len() > MAX_FILE {
            return Err(Problem::TooLarge);
        }
        fs::read(file).map(Some).map_err(Problem::Unreadable)
    }
}

/// The places to look for credentials, in order. A file that the user names is the only one for
/// podman and skopeo. The variable comes before docker's files, as in docker, and before podman's
/// and skopeo's, as it is set for a single call or job. `NETRC` comes last, as it only has hosts.
pub(super) fn all(variable: impl Fn(&str) -> Option<OsString>) -> Vec<Source> {
    let variable = |name: &str| variable(name).filter(|text| !text.is_empty());
    let given = variable("DOCKER_AUTH_CONFIG").map(Source::Variable);
    let folder = |name: &str| variable(name).map(PathBuf::from);
    let netrc = folder("NETRC").map(Source::Netrc);
    if let Some(file) = folder("REGISTRY_AUTH_FILE") {
        return [Source::Named(file)].into_iter().chain(given).chain(netrc).collect();
    }
    let home = folder("HOME");
    let under_home = |path: &str| home.as_ref().map(|home| home.join(path));
    let config_home = folder("XDG_CONFIG_HOME").or_else(|| under_home(".config"));
    // The XDG specification says to ignore relative paths.
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
    given.into_iter().chain(files.map(Source::File)).chain(netrc).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sources_are_those_of_podman_and_docker() {
        let names = |set: &[(&str, &str)]| -> Vec<String> {
            let variable = |name: &str| {
                let found = set.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| OsString::from(value))
            };
            all(variable).iter().map(ToString::to_string).collect()
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
        // Empty variables count as not set.
        let empty = ["REGISTRY_AUTH_FILE", "DOCKER_CONFIG", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"];
        let empty: Vec<_> =
            empty.map(|name| (name, "")).into_iter().chain([("HOME", "/h")]).collect();
        assert_eq!(names(&empty), names(&[("HOME", "/h")]));
        assert_eq!(names(&empty).len(), 2);
        let both = [("REGISTRY_AUTH_FILE", "/a"), ("DOCKER_AUTH_CONFIG", "{}"), ("HOME", "/h")];
        assert_eq!(names(&both), [file("/a"), variable]);
        let netrc = ("NETRC", "/n");
        assert_eq!(
            names(&[netrc, ("HOME", "/h")])[1..],
            [file("/h/.docker/config.json"), file("/n")]
        );
        assert_eq!(names(&[netrc, ("REGISTRY_AUTH_FILE", "/a")]), [file("/a"), file("/n")]);
    }
}
