//! Finds dockerd: the same one that the docker command would use.

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use serde_json::Value;
use thiserror::Error;

use super::LoadError;
use super::channel::Channel;
use formats::digest::Digest;

pub(super) const DEFAULT: &str = "/var/run/docker.sock";
const DEFAULT_PORT: u16 = 2375;

/// The address of an API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// A socket on this machine.
    Unix(PathBuf),
    /// A host and port, unencrypted.
    Tcp(String),
    /// An address that only the docker command can connect to, through ssh or TLS. The command
    /// determines the address by itself; this one is for messages.
    Command(String),
}

/// Why dockerd's address cannot be determined.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// The current docker context cannot be read.
    #[error("reading the docker context `{name}`")]
    Context {
        /// The context's name.
        name: String,
        /// Why.
        source: Box<EndpointError>,
    },
    /// One of docker's configuration files cannot be read.
    #[error("reading `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// One of docker's configuration files is not valid JSON.
    #[error("`{}` is not valid JSON", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where it is invalid.
        source: serde_json::Error,
    },
    /// The address is not valid.
    #[error(
        "`{0}` is not a valid address of dockerd; expected unix:///PATH, tcp://HOST:PORT or \
         ssh://HOST in DOCKER_HOST or the docker context"
    )]
    Address(String),
}

impl Endpoint {
    /// The endpoint according to the environment and docker's configuration.
    pub(super) fn of_user() -> Result<Self, EndpointError> {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        if let Some(host) = variable("DOCKER_HOST") {
            let tls = ["DOCKER_TLS_VERIFY", "DOCKER_TLS"]
                .into_iter()
                .any(|name| variable(name).is_some());
            return Self::parse(&host, tls);
        }
        let folder = variable("DOCKER_CONFIG")
            .map(PathBuf::from)
            .or_else(|| Some(PathBuf::from(variable("HOME")?).join(".docker")));
        let Some(folder) = folder else { return Ok(Self::Unix(DEFAULT.into())) };
        let context = match variable("DOCKER_CONTEXT") {
            Some(context) => Some(context),
            None => current_context(&folder)?,
        };
        match context.as_deref() {
            None | Some("default") => Ok(Self::Unix(DEFAULT.into())),
            Some(name) => Self::of_context(&folder, name).map_err(|error| EndpointError::Context {
                name: name.to_owned(),
                source: Box::new(error),
            }),
        }
    }

    fn of_context(folder: &Path, name: &str) -> Result<Self, EndpointError> {
        let id = Digest::of(name.as_bytes()).hex();
        let contexts = folder.join("contexts");
        let path = contexts.join("meta").join(&id).join("meta.json");
        let meta = match std::fs::read(&path) {
            Ok(meta) => parse(&meta, path)?,
            Err(source) => return Err(EndpointError::Read { path, source }),
        };
        let endpoint = &meta["Endpoints"]["docker"];
        let tls = endpoint["SkipTLSVerify"] == true || contexts.join("tls").join(&id).exists();
        Self::parse(endpoint["Host"].as_str().unwrap_or_default(), tls)
    }

    fn parse(host: &str, tls: bool) -> Result<Self, EndpointError> {
        let shown = without_password(host);
        Ok(match host.split_once("://") {
            Some(("unix", path)) if path.starts_with('/') => Self::Unix(path.into()),
            Some(("tcp" | "http", _)) if tls => Self::Command(shown),
            Some(("tcp" | "http", location)) => {
                let location = location.split('/').next().unwrap_or_default();
                // dockerd has no users, and the docker command refuses such addresses.
                if location.contains('@') {
                    return Err(EndpointError::Address(shown));
                }
                match location.rsplit_once(':') {
                    Some(("", port)) => Self::Tcp(format!("localhost:{port}")),
                    Some((_, port)) if port.parse::<u16>().is_ok() => Self::Tcp(location.into()),
                    _ => Self::Tcp(format!("{location}:{DEFAULT_PORT}")),
                }
            }
            Some(("ssh" | "https", _)) => Self::Command(shown),
            None if host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) => {
                Self::parse(&format!("tcp://{host}"), tls)?
            }
            _ => return Err(EndpointError::Address(shown)),
        })
    }

    /// Whether dockerd runs on this machine, with the same loopback interface.
    pub(super) fn is_local(&self) -> bool {
        matches!(self, Self::Unix(_))
    }

    pub(super) fn connect(&self) -> Result<Channel, LoadError> {
        let connected = match self {
            Self::Unix(path) => Channel::unix(path),
            Self::Tcp(location) => Channel::tcp(location),
            Self::Command(host) => return Channel::through_command(host),
        };
        connected.map_err(|error| {
            let what = match self {
                Self::Unix(path) if error.kind() == ErrorKind::PermissionDenied => format!(
                    "no permission to use dockerd's socket `{}`; add this user to the docker group",
                    path.display()
                ),
                _ => self.unreachable(),
            };
            LoadError::Unreachable { what, source: error.into() }
        })
    }

    /// The message for an endpoint where nothing answers.
    pub(super) fn unreachable(&self) -> String {
        match self {
            Self::Unix(path) => format!(
                "cannot reach dockerd at `{}`; start it, or set DOCKER_HOST to its address",
                path.display()
            ),
            Self::Tcp(location) => format!(
                "cannot reach dockerd at tcp://{location} without TLS; set DOCKER_HOST to its \
                 address, and DOCKER_TLS_VERIFY if it uses TLS"
            ),
            Self::Command(host) => {
                format!("cannot reach dockerd at {host} through the docker command")
            }
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(formatter, "unix://{}", path.display()),
            Self::Tcp(location) => write!(formatter, "tcp://{location}"),
            Self::Command(host) => formatter.write_str(host),
        }
    }
}

/// An address without its password, for messages.
fn without_password(address: &str) -> String {
    let start = address.find("://").map_or(0, |end| end + 3);
    let (scheme, rest) = address.split_at(start);
    match rest.rsplit_once('@').map(|(user, host)| (user.split_once(':'), host)) {
        Some((Some((user, _)), host)) => format!("{scheme}{user}:***@{host}"),
        _ => address.to_owned(),
    }
}

fn current_context(folder: &Path) -> Result<Option<String>, EndpointError> {
    let path = folder.join("config.json");
    let config = match std::fs::read(&path) {
        // The home directory of a system user may be `/dev/null`.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Ok(config) => parse(&config, path)?,
        Err(source) => return Err(EndpointError::Read { path, source }),
    };
    let context = config["currentContext"].as_str().filter(|context| !context.is_empty());
    Ok(context.map(str::to_owned))
}

fn parse(json: &[u8], path: PathBuf) -> Result<Value, EndpointError> {
    serde_json::from_slice(json).map_err(|source| EndpointError::Json { path, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_understood() {
        let tcp = |location: &str| Endpoint::Tcp(location.into());
        for (host, tls, endpoint) in [
            ("unix:///run/docker.sock", false, Endpoint::Unix("/run/docker.sock".into())),
            ("tcp://host:1", false, tcp("host:1")),
            ("tcp://host", false, tcp("host:2375")),
            ("tcp://:1", false, tcp("localhost:1")),
            ("host:1", false, tcp("host:1")),
            ("[::1]:7", false, tcp("[::1]:7")),
            ("tcp://[::1]:7/x", false, tcp("[::1]:7")),
            ("tcp://host:1", true, Endpoint::Command("tcp://host:1".into())),
            ("ssh://me@host", false, Endpoint::Command("ssh://me@host".into())),
        ] {
            assert_eq!(Endpoint::parse(host, tls).unwrap(), endpoint);
        }
        for bad in ["", "host", "unix://docker.sock", "npipe:////./pipe/docker", "tcp://me@host:1"]
        {
            assert!(Endpoint::parse(bad, false).is_err(), "{bad}");
        }
    }

    #[test]
    fn passwords_in_addresses_are_not_shown() {
        for (host, tls, shown) in [
            ("tcp://me:secret@host:1", false, "tcp://me:***@host:1"),
            ("tcp://me:secret@host:1", true, "tcp://me:***@host:1"),
            ("me:secret@host:1", false, "tcp://me:***@host:1"),
            ("me:secret@host", false, "me:***@host"),
            ("ssh://me:s:e@cret@host/x", false, "ssh://me:***@host/x"),
            ("https://:secret@host", false, "https://:***@host"),
            ("fd://me:secret@", false, "fd://me:***@"),
        ] {
            let said = match Endpoint::parse(host, tls) {
                Ok(endpoint) => endpoint.to_string(),
                Err(error) => error.to_string(),
            };
            assert!(said.contains(shown) && !said.contains("secret"), "{host}: {said}");
        }
    }

    #[test]
    fn contexts_are_found_where_docker_keeps_them() {
        let folder = tempfile::tempdir().unwrap();
        let meta = folder.path().join("contexts/meta").join(Digest::of(b"far").hex());
        std::fs::create_dir_all(&meta).unwrap();
        let text = r#"{"Name":"far","Endpoints":{"docker":{"Host":"ssh://far"}}}"#;
        std::fs::write(meta.join("meta.json"), text).unwrap();
        let found = Endpoint::of_context(folder.path(), "far").unwrap();
        assert_eq!(found, Endpoint::Command("ssh://far".into()));
        assert!(Endpoint::of_context(folder.path(), "near").is_err());
    }

    #[test]
    fn a_configuration_that_cannot_be_read_is_not_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(current_context(folder.path()).unwrap(), None);
        assert_eq!(current_context(Path::new("/dev/null/.docker")).unwrap(), None);
        let path = folder.path().join("config.json");
        for (text, context) in [
            (r#"{"currentContext":"far"}"#, Some(Some("far"))),
            (r#"{"currentContext":""}"#, Some(None)),
            ("{}", Some(None)),
            ("{", None),
        ] {
            std::fs::write(&path, text).unwrap();
            let found = current_context(folder.path()).ok();
            assert_eq!(found.as_ref().map(Option::as_deref), context, "{text}");
        }
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(current_context(folder.path()).is_err());
    }
}
