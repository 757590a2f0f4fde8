//! containerd: layers become its snapshots, or it pulls them through nerdctl or its own ctr.

#[cfg(target_os = "linux")]
pub(super) mod snapshots;

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use thiserror::Error;

use super::channel::Channel;
use super::command::{self, Patience};
use super::{Delivery, LoadError, STANDSTILL, Way};
use crate::Transfer;
use crate::output::Writer;

/// containerd's default socket, unless [`ADDRESS`] is set.
const SOCKET: &str = "/run/containerd/containerd.sock";
const ADDRESS: &str = "CONTAINERD_ADDRESS";
const CONTAINERD: &str = "containerd";

/// A command-line client of containerd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Client {
    Nerdctl,
    Ctr,
}

pub(super) fn is_there() -> bool {
    let program = command::find("nerdctl").or_else(|| command::find("ctr")).is_some();
    program && (address().is_some() || Path::new(SOCKET).exists())
}

/// Fails if containerd does not answer, or neither nerdctl nor ctr is installed.
pub(super) fn check(timeout: Duration) -> Result<(), LoadError> {
    let client = Client::find();
    command::require(client.program())?;
    client.check_socket(timeout)
}

/// Sends the image.
pub(super) fn load(delivery: &Delivery<'_>) -> Result<Transfer, LoadError> {
    if delivery.way == Some(Way::Archive) {
        return Err(LoadError::whole_only(CONTAINERD));
    }
    let client = Client::find();
    let (name, limit) = (delivery.name.canonical(), delivery.command_limit());
    let pull = || {
        delivery.with_registry(CONTAINERD, |source, patience| {
            let hosts = source.hosts()?;
            let source = source.alias.to_string();
            client.pull(hosts.path(), &source, patience)?;
            let tagged = client
                .image_id(&source, patience)
                .and_then(|id| delivery.check_id(CONTAINERD, &id))
                .and_then(|()| client.tag(&source, &name, patience));
            delivery.tagged(tagged, client.remove(&source, patience))
        })
    };
    let whole = || client.import(delivery, limit);
    delivery.deliver(pull, whole)
}

/// Writes an image to a file, as an OCI archive of the blobs that containerd has.
pub(super) fn save(
    name: &str,
    platform: &str,
    timeout: Duration,
    file: &File,
) -> Result<(), LoadError> {
    check(timeout)?;
    let client = Client::find();
    let arguments: &[&str] = match client {
        Client::Nerdctl => &["save", "--platform", platform, name],
        Client::Ctr => &["images", "export", "--platform", platform, "-", name],
    };
    let address = address();
    let variable = address.as_deref().map(|address| (ADDRESS, address));
    command::fill(client.program(), arguments, variable.as_slice(), timeout * STANDSTILL, file)
}

/// The address of containerd, if it is set, as a plain path: ctr does not accept URLs.
fn address() -> Option<PathBuf> {
    let address = std::env::var_os(ADDRESS).filter(|address| !address.is_empty())?;
    let plain = address.to_str().and_then(|address| address.strip_prefix("unix://"));
    Some(plain.map_or_else(|| PathBuf::from(&address), PathBuf::from))
}

impl Client {
    fn find() -> Self {
        if command::find("nerdctl").is_some() { Self::Nerdctl } else { Self::Ctr }
    }

    fn program(self) -> &'static str {
        match self {
            Self::Nerdctl => "nerdctl",
            Self::Ctr => "ctr",
        }
    }

    /// Checks that containerd answers. Without this, both programs would wait ten seconds for a
    /// missing socket, each time they are called.
    fn check_socket(self, timeout: Duration) -> Result<(), LoadError> {
        let socket = match (address(), self) {
            (Some(address), _) => address,
            (None, Self::Ctr) => SOCKET.into(),
            // Its configuration may name another socket.
            (None, Self::Nerdctl) => return Ok(()),
        };
        greet(&socket, timeout).map_err(|error| LoadError::Unreachable {
            what: format!(
                "cannot reach containerd at `{}`; start it, or set {ADDRESS} to its address",
                socket.display()
            ),
            source: error.into(),
        })
    }

    fn run(self, arguments: &[&str], patience: &Patience<'_>) -> Result<String, LoadError> {
        let address = address();
        let variable = address.as_deref().map(|address| (ADDRESS, address));
        command::run_with(variable.as_slice(), self.program(), arguments, patience)
    }

    fn pull(self, hosts: &Path, source: &str, patience: &Patience<'_>) -> Result<(), LoadError> {
        let hosts = hosts.to_str().ok_or_else(|| {
            LoadError::Unsupported("the path of the temporary directory is not valid UTF-8".into())
        })?;
        let pulled = match self {
            Self::Nerdctl => self.run(&["--hosts-dir", hosts, "pull", "--quiet", source], patience),
            Self::Ctr => {
                let local = self.local_option(patience)?;
                let arguments = ["images", "pull", "--hosts-dir", hosts, source];
                self.run(&[&arguments[..2], local, &arguments[2..]].concat(), patience)
            }
        };
        pulled.map(drop)
    }

    /// The option with which ctr 2 fetches all blobs of an image itself, as ctr 1 does. Otherwise
    /// containerd pulls the image, without the blobs of layers that it has already unpacked.
    fn local_option(self, patience: &Patience<'_>) -> Result<&'static [&'static str], LoadError> {
        let help = self.run(&["images", "pull", "--help"], patience)?;
        Ok(if help.contains("--local") { &["--local"] } else { &[] })
    }

    /// An image's ID: the digest of its config.
    fn image_id(self, name: &str, patience: &Patience<'_>) -> Result<String, LoadError> {
        let json = |text: String| {
            serde_json::from_str::<Value>(&text).map_err(|source| {
                let what = format!("{}'s description of `{name}`", self.program());
                LoadError::NotJson { what, source }
            })
        };
        let descriptor = match self {
            Self::Nerdctl => {
                let inspect = ["image", "inspect", "--mode", "native", name];
                json(self.run(&inspect, patience)?)?[0]["ImageConfigDesc"].take()
            }
            Self::Ctr => {
                let list = self.run(&["images", "ls", &format!("name=={name}")], patience)?;
                let digest = list.split_whitespace().find(|word| word.starts_with("sha256:"));
                let digest = digest.ok_or_else(|| {
                    LoadError::Unexpected(format!("containerd does not have `{name}` any more"))
                })?;
                json(self.run(&["content", "get", digest], patience)?)?["config"].take()
            }
        };
        let id = descriptor["digest"].as_str().map(str::to_owned);
        id.ok_or_else(|| {
            let program = self.program();
            LoadError::Unexpected(format!("{program} does not report the ID of `{name}`"))
        })
    }

    fn tag(self, source: &str, name: &str, patience: &Patience<'_>) -> Result<(), LoadError> {
        let tagged = match self {
            Self::Nerdctl => self.run(&["tag", source, name], patience),
            Self::Ctr => self.run(&["images", "tag", "--force", source, name], patience),
        };
        tagged.map(drop)
    }

    fn remove(self, name: &str, patience: &Patience<'_>) -> Result<(), LoadError> {
        let removed = match self {
            Self::Nerdctl => self.run(&["rmi", name], patience),
            Self::Ctr => self.run(&["images", "rm", name], patience),
        };
        removed.map(drop)
    }

    fn import(self, delivery: &Delivery<'_>, limit: Duration) -> Result<Transfer, LoadError> {
        let arguments: &[&str] = match self {
            Self::Nerdctl => &["load"],
            Self::Ctr => &["images", "import", "-"],
        };
        let address = address();
        let variable = address.as_deref().map(|address| (ADDRESS, address));
        let write = |output: &mut dyn Writer| delivery.write(0, output, CONTAINERD);
        command::feed(self.program(), arguments, variable.as_slice(), limit, write)
    }
}

/// Why what listens on a socket is not containerd.
#[derive(Debug, Error)]
enum GreetError {
    #[error(transparent)]
    Connect(#[from] io::Error),
    #[error("it does not accept an HTTP/2 connection")]
    Send(#[source] io::Error),
    #[error("it does not answer over HTTP/2")]
    Answer(#[source] io::Error),
    #[error("what listens on the socket is not containerd")]
    Other,
}

/// Checks that what listens on a socket could be gRPC: its first message must be HTTP/2 settings.
fn greet(socket: &Path, timeout: Duration) -> Result<(), GreetError> {
    const GREETING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    const SETTINGS: u8 = 4;
    let channel = Channel::unix(socket)?;
    File::from(channel.output()?).write_all(GREETING).map_err(GreetError::Send)?;
    let mut header = [0; 4];
    let mut input = channel.input()?;
    input.limit = input.limit.min(timeout);
    input.read_exact(&mut header).map_err(GreetError::Answer)?;
    if header[3] != SETTINGS {
        return Err(GreetError::Other);
    }
    Ok(())
}
