//! Delivers an image to a container engine, and of it only what the engine lacks.
//!
//! Each engine has a short way: dockerd takes an archive without the layers that it holds, the
//! others pull what they lack from a registry that exists for this purpose only. Whatever goes
//! wrong there, the whole stream is the way that always works.

mod api;
mod channel;
mod command;
mod containerd;
mod docker;
mod endpoint;
mod error;
mod podman;
mod pull;

use std::slice;
use std::time::Duration;

use crate::DockerArchive;
use crate::Transfer;
use crate::causes;
use crate::observer::Observer;
use crate::output::Writer;
pub use endpoint::EndpointError;
pub use error::LoadError;
use formats::digest::Digest;
use formats::peer_text;
use image::Blobs;
use oci::Reference;

/// Work may stand still for this many times as long as a question may take: a layer is being
/// written to a slow disk, perhaps.
const STANDSTILL: u32 = 10;

/// The maximum number of characters shown of an image ID.
const MAX_ID: usize = 100;

/// A kind of container engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// dockerd, at its API.
    Docker,
    /// podman, by its command.
    Podman,
    /// containerd, by nerdctl or ctr.
    Containerd,
}

/// A way to deliver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// An archive without the layers that the engine holds.
    Archive,
    /// A registry on the loopback that the engine pulls from.
    Pull,
    /// The whole archive.
    Stream,
}

/// What is to be loaded.
#[derive(Debug)]
pub struct Delivery<'a> {
    /// The image's layers.
    pub blobs: &'a Blobs<'a>,
    /// Its name, taken apart.
    pub name: &'a Reference,
    /// Receives progress and warnings.
    pub observer: &'a dyn Observer,
    /// Only this way, no other.
    pub way: Option<Way>,
    /// How long the engine may take for an answer; its work may stand still for ten times that.
    pub timeout: Duration,
}

/// What loading came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// What has the image now: an engine's name, and where it is if that is another machine.
    pub into: String,
    /// What had to be sent.
    pub transfer: Transfer,
}

impl Kind {
    /// Finds the named engine, or the first one on this machine, and checks that it is available.
    /// Call this before reading an image, which may take minutes.
    pub fn find(
        named: Option<Self>,
        timeout: Duration,
        observer: &dyn Observer,
    ) -> Result<Self, LoadError> {
        let kind = named.map_or_else(|| Self::detect(observer), Ok)?;
        match kind {
            Self::Docker => docker::check(timeout)?,
            Self::Podman => podman::check()?,
            Self::Containerd => containerd::check(timeout)?,
        }
        Ok(kind)
    }

    /// The engine of this machine. It is chosen here and nowhere else: where the one that is there
    /// fails, no other is tried.
    fn detect(observer: &dyn Observer) -> Result<Self, LoadError> {
        let Some(no_docker) = docker::absence()? else { return Ok(Self::Docker) };
        let (kind, name) = if command::find("podman").is_some() {
            (Self::Podman, "podman")
        } else if containerd::is_there() {
            (Self::Containerd, "containerd")
        } else {
            return Err(LoadError::NoEngine { no_docker });
        };
        // Who has the docker command may expect the image there.
        if command::find("docker").is_some() {
            observer.warn(&format!("{no_docker}, so the image goes into {name}"));
        }
        Ok(kind)
    }
}

impl Delivery<'_> {
    /// Loads the image into an engine that was found.
    pub fn load_into(&self, kind: Kind) -> Result<Loaded, LoadError> {
        let loaded = |into: &str, transfer| Loaded { into: into.into(), transfer };
        self.observer.started(slice::from_ref(self.blobs.image()));
        let loaded = match kind {
            Kind::Docker => docker::load(self)?,
            Kind::Podman => loaded("podman", podman::load(self)?),
            Kind::Containerd => loaded("containerd", containerd::load(self)?),
        };
        self.observer.finished();
        Ok(loaded)
    }

    /// What loading comes to if the engine has all layers.
    fn nothing_sent(&self) -> Transfer {
        Transfer::none(self.blobs.all().len(), self.blobs.size())
    }

    /// The image's ID: the digest of its configuration.
    fn id(&self) -> Digest {
        Digest::of(self.blobs.config_json().as_bytes())
    }

    /// Checks the ID of the image that an engine pulled, with or without `sha256:`.
    fn check_id(&self, engine: &'static str, found: &str) -> Result<(), LoadError> {
        if found.trim_start_matches("sha256:") == self.id().hex() {
            return Ok(());
        }
        Err(self.wrong_image(engine, found))
    }

    fn wrong_image(&self, engine: &'static str, found: &str) -> LoadError {
        let found = peer_text::start(found, MAX_ID);
        LoadError::WrongImage { engine, expected: self.id(), found }
    }

    /// How long a command of the engine may stand still: each of them is work.
    fn command_limit(&self) -> Duration {
        self.timeout * STANDSTILL
    }

    /// Goes the short way, and after its failure the long one.
    fn deliver(
        &self,
        short: impl FnOnce() -> Result<Transfer, LoadError>,
        whole: impl FnOnce() -> Result<Transfer, LoadError>,
    ) -> Result<Transfer, LoadError> {
        if self.way != Some(Way::Stream) {
            match short() {
                Ok(transfer) => return Ok(transfer),
                Err(error) if self.way.is_some() || error.is_final() => return Err(error),
                Err(error) => self.observer.warn(&format!(
                    "could not send the missing layers alone; sending the whole image ({})",
                    causes::line(&error)
                )),
            }
        }
        whole()
    }

    /// Writes the archive, without this many of the lowest layers, which the engine holds.
    fn write(&self, held: usize, output: &mut dyn Writer) -> Result<Transfer, LoadError> {
        let mut archive = DockerArchive::new(output).without(held);
        Ok(archive.write_part(self.blobs.digester(), self.observer)?)
    }
}
