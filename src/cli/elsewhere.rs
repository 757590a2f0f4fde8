//! Images that are not in a file: in a registry, in a container engine, or on standard input.
//!
//! Such an image is copied unchanged into an unnamed temporary file, and read from there.

use std::fmt;
use std::fs::File;
use std::io;
#[cfg(target_os = "linux")]
use std::os::fd::AsRawFd as _;
use std::path::Path;
#[cfg(feature = "load")]
use std::time::Duration;

use anyhow::{Context as _, bail};
#[cfg(feature = "load")]
use delivery::load::{self, Kind};
#[cfg(feature = "pull")]
use delivery::pull::{Source, write_oci_archive};
use formats::digest::Digest;
use image::Existing;
#[cfg(feature = "pull")]
use oci::WantedPlatform;
#[cfg(feature = "pull")]
use oci::registry::Options;
use oci::{Platform, Reference};

use super::conf;
use crate::report::Report;

/// The operating system of every image that is fetched.
#[cfg(any(feature = "load", feature = "pull"))]
const OS: &str = "linux";
/// Prefixes for images that are not in a file, as other tools write them.
const TRANSPORTS: [(&str, Place<'static>); 4] = [
    ("docker://", Place::Registry("")),
    ("docker-daemon:", Place::Docker("")),
    ("containers-storage:", Place::Podman("")),
    ("containerd:", Place::Containerd("")),
];

/// Where an image is, and its name there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place<'a> {
    /// An archive on standard input.
    Input,
    Registry(&'a str),
    Docker(&'a str),
    Podman(&'a str),
    Containerd(&'a str),
}

/// How to reach images in registries and engines.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Registries and engines")]
pub(super) struct ElsewhereArgs {
    /// Check certificates, and refuse plain HTTP except to this machine
    #[cfg(feature = "pull")]
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    tls_verify: bool,
    /// How long to wait for an engine to answer; ten times as long while it is working
    #[cfg(feature = "load")]
    #[arg(long, value_name = "SECONDS", default_value = "60",
          value_parser = clap::value_parser!(u32).range(1..))]
    timeout: u32,
}

/// An image that was opened and, if it was fetched, the file that holds it.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) image: Existing,
    pub(super) file: Option<TemporaryFile>,
}

impl<'a> Place<'a> {
    /// The place that an operand names: `docker://NAME`, `docker-daemon:NAME`,
    /// `containers-storage:NAME`, `containerd:NAME`, a name that begins with its registry, or `-` if
    /// standard input is an archive. `None` if it names a file, or a conf on standard input.
    ///
    /// # Errors
    ///
    /// If it may be an image's name, but does not say where the image is, or if standard input
    /// cannot be read.
    pub(super) fn of(operand: &'a str) -> anyhow::Result<Option<Self>> {
        if operand == conf::STDIN {
            return Ok(conf::stdin_is_archive()?.then_some(Self::Input));
        }
        for (transport, place) in TRANSPORTS {
            if let Some(name) = operand.strip_prefix(transport) {
                return Ok(Some(place.with_name(name)));
            }
        }
        let is_path = operand.starts_with(['.', '/']) || is_file(operand);
        let reference = Reference::parse(operand).ok().filter(|_| !is_path);
        let Some(reference) = reference else { return Ok(None) };
        // Without a tag it could just as well be a file in a directory.
        if reference.registry.is_some() && operand.contains([':', '@']) {
            return Ok(Some(Self::Registry(operand)));
        }
        bail!(
            "there is no file `{operand}`; expected the program that Nix built (./result) or its conf, \
             an archive or a layout, or an image elsewhere: docker://{operand} in a registry, \
             docker-daemon:{operand} in docker, containers-storage:{operand} in podman, or \
             containerd:{operand}"
        );
    }

    fn with_name(self, name: &str) -> Place<'_> {
        match self {
            Self::Input => Place::Input,
            Self::Registry(_) => Place::Registry(name),
            Self::Docker(_) => Place::Docker(name),
            Self::Podman(_) => Place::Podman(name),
            Self::Containerd(_) => Place::Containerd(name),
        }
    }
}

impl ElsewhereArgs {
    /// Fetches an image, for this architecture if there are several. From a registry, layers with
    /// diffIDs in `without` are not fetched.
    pub(super) fn fetch(
        &self,
        place: Place<'_>,
        architecture: Option<&str>,
        without: &[Digest],
        report: &Report,
    ) -> anyhow::Result<Opened> {
        let architecture = architecture.unwrap_or(Platform::here());
        let mut file = TemporaryFile::new()?;
        match place {
            Place::Input => {
                io::copy(&mut io::stdin().lock(), &mut file.file)
                    .context("copying standard input into a temporary file")?;
            }
            Place::Registry(name) => {
                self.pull(name, architecture, without, &file.file, report)?;
            }
            engine => self.save(engine, architecture, &mut file.file, report)?,
        }
        let image = Existing::open_without(file.path().as_ref(), architecture, without)
            .with_context(|| format!("reading the image from `{place}`"))?;
        Ok(Opened { image, file: Some(file) })
    }

    /// The documents of an image in a registry.
    #[cfg(feature = "pull")]
    pub(super) fn find(&self, name: &str, architecture: Option<&str>) -> anyhow::Result<Source> {
        let architecture = architecture.unwrap_or(Platform::here()).to_owned();
        let platform = WantedPlatform { os: OS.into(), architecture, variant: None };
        let options = Options { tls_verify: self.tls_verify, login: None };
        Ok(Source::find(&Reference::parse(name)?, &platform, &options)?)
    }

    #[cfg(feature = "pull")]
    fn pull(
        &self,
        name: &str,
        architecture: &str,
        without: &[Digest],
        file: &File,
        report: &Report,
    ) -> anyhow::Result<()> {
        Ok(write_oci_archive(&self.find(name, Some(architecture))?, without, file, report)?)
    }

    #[cfg(not(feature = "pull"))]
    #[expect(clippy::unused_self, reason = "it is used when built with registries")]
    fn pull(&self, name: &str, _: &str, _: &[Digest], _: &File, _: &Report) -> anyhow::Result<()> {
        bail!("`docker://{name}` is in a registry, but this nix-image is built without registries")
    }

    #[cfg(feature = "load")]
    fn save(
        &self,
        engine: Place<'_>,
        architecture: &str,
        file: &mut File,
        report: &Report,
    ) -> anyhow::Result<()> {
        let (kind, name) = match engine {
            Place::Input | Place::Registry(_) => return Ok(()),
            Place::Docker(name) => (Kind::Docker, name),
            Place::Podman(name) => (Kind::Podman, name),
            Place::Containerd(name) => (Kind::Containerd, name),
        };
        let platform = Platform { architecture: architecture.into(), os: OS.into() };
        let timeout = Duration::from_secs(self.timeout.into());
        Ok(load::save(kind, name, &platform, timeout, file, report)?)
    }

    #[cfg(not(feature = "load"))]
    #[expect(clippy::unused_self, reason = "it is used when built with engines")]
    fn save(&self, engine: Place<'_>, _: &str, _: &mut File, _: &Report) -> anyhow::Result<()> {
        bail!("`{engine}` is in an engine, but this nix-image is built without engines")
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Registry(name)
        | Self::Docker(name)
        | Self::Podman(name)
        | Self::Containerd(name)) = self
        else {
            return formatter.write_str("standard input");
        };
        let transport = TRANSPORTS.iter().find(|(_, place)| place.with_name(name) == *self);
        write!(formatter, "{}{name}", transport.map_or("", |(transport, _)| transport))
    }
}

/// A large temporary file, deleted when the process exits.
#[derive(Debug)]
pub(super) struct TemporaryFile {
    file: File,
    /// It needs a name where unnamed files cannot be reopened.
    #[cfg(not(target_os = "linux"))]
    named: tempfile::TempPath,
}

impl TemporaryFile {
    /// Creates the file where large ones belong: in `TMPDIR`, or in `/var/tmp`, since `/tmp` may be
    /// in memory.
    fn new() -> anyhow::Result<Self> {
        let large = Path::new("/var/tmp");
        let directory = match std::env::var_os("TMPDIR") {
            None if large.is_dir() => large.to_owned(),
            _ => std::env::temp_dir(),
        };
        let failed = || format!("creating a temporary file in `{}`", directory.display());
        #[cfg(target_os = "linux")]
        return Ok(Self { file: tempfile::tempfile_in(&directory).with_context(failed)? });
        #[cfg(not(target_os = "linux"))]
        {
            let named = tempfile::NamedTempFile::new_in(&directory).with_context(failed)?;
            let (file, named) = named.into_parts();
            Ok(Self { file, named })
        }
    }

    /// A path that reopens the file.
    #[cfg(target_os = "linux")]
    fn path(&self) -> String {
        format!("/proc/self/fd/{}", self.file.as_raw_fd())
    }

    #[cfg(not(target_os = "linux"))]
    fn path(&self) -> String {
        self.named.to_string_lossy().into_owned()
    }
}

/// Whether the operand is a path, optionally followed by '#' and an image name.
fn is_file(operand: &str) -> bool {
    let is_there = |path: &str| Path::new(path).symlink_metadata().is_ok();
    is_there(operand) || operand.rsplit_once('#').is_some_and(|(path, _)| is_there(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_by_what_stands_before_the_name() {
        for (operand, place) in [
            ("docker://app", Some(Place::Registry("app"))),
            ("docker-daemon:app:1", Some(Place::Docker("app:1"))),
            ("docker-daemon:0123456789ab", Some(Place::Docker("0123456789ab"))),
            ("containers-storage:localhost/app:1", Some(Place::Podman("localhost/app:1"))),
            ("containerd:ghcr.io/me/app:1", Some(Place::Containerd("ghcr.io/me/app:1"))),
            ("ghcr.io/me/app:1", Some(Place::Registry("ghcr.io/me/app:1"))),
            ("localhost:5000/app:1", Some(Place::Registry("localhost:5000/app:1"))),
            ("./result", None),
            ("/nix/store/x", None),
            ("Cargo.toml", None),
            ("src#ghcr.io/me/app:1", None),
            ("NOT A NAME", None),
        ] {
            assert_eq!(Place::of(operand).unwrap(), place, "{operand}");
            if let Some(place) = place.filter(|_| operand.starts_with(['d', 'c'])) {
                assert_eq!(place.to_string(), operand);
            }
        }
        for operand in ["app", "app:1", "me/app:1", "result.tar", "my.images/app"] {
            let error = Place::of(operand).unwrap_err().to_string();
            for form in ["docker://", "docker-daemon:", "containers-storage:", "containerd:"] {
                assert!(error.contains(&format!("{form}{operand}")), "{error}");
            }
        }
    }
}
