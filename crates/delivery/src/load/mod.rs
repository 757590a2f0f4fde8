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
mod engine;
mod error;
mod podman;
mod preview;
mod pull;
mod save;
mod temporary;
#[cfg(target_os = "linux")]
mod unpacked;
#[cfg(not(target_os = "linux"))]
#[path = "unpacked_elsewhere.rs"]
mod unpacked;

use std::slice;
use std::time::Duration;

use crate::DockerArchive;
use crate::Transfer;
use crate::causes;
use crate::observer::{Observer, Step};
use crate::output::Writer;
pub use endpoint::EndpointError;
pub use engine::{Engine, Import, Kind};
pub use error::LoadError;
use formats::digest::Digest;
use formats::peer_text;
use image::Blobs;
use oci::Reference;
pub use preview::{How, Preview};
pub use save::save;

/// Work may stand still for this many times as long as a question may take: a layer is being
/// written to a slow disk, perhaps.
const STANDSTILL: u32 = 10;

/// The maximum number of characters shown of an image ID.
const MAX_ID: usize = 100;

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
    /// Whether a containerd whose snapshots the layers become gets their blobs as well. Without
    /// them containers run, but the image cannot be pushed or exported.
    pub content: bool,
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
    /// What the engine lacked.
    pub transfer: Transfer,
    /// How that got there, unless it was sent.
    pub imported: Option<Imported>,
}

/// How the files of the layers that an engine lacked got there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Bytes in files that are the store's.
    pub linked: u64,
    /// Bytes in files that share the store's blocks.
    pub reflinked: u64,
    /// Bytes in files that were copied or unpacked.
    pub copied: u64,
}

impl Delivery<'_> {
    /// Loads the image into an engine that was found.
    pub fn load_into(&self, engine: Engine) -> Result<Loaded, LoadError> {
        self.observer.started(slice::from_ref(self.blobs.image()));
        let kind = engine.kind;
        let loaded = match self.import_into(engine)? {
            Some(loaded) => loaded,
            None => self.send_into(kind)?,
        };
        self.observer.finished();
        Ok(loaded)
    }

    /// Puts the layers where the engine keeps them unpacked; `None` if they have to be sent.
    fn import_into(&self, engine: Engine) -> Result<Option<Loaded>, LoadError> {
        let Some(layers) = engine.layers else { return Ok(None) };
        match layers.put(self, engine.import) {
            Ok(loaded) => Ok(Some(loaded)),
            Err(error) if engine.import != Import::Auto || error.is_final() => Err(error),
            Err(error) => {
                let why = causes::line(&error);
                if error.is_unfit() {
                    self.observer.note(&format!("the image is sent, not linked: {why}"));
                } else {
                    self.observer.warn(&format!(
                        "could not put the layers where the engine keeps them; sending them ({why})"
                    ));
                }
                Ok(None)
            }
        }
    }

    /// Sends the image, or what the engine lacks of it.
    fn send_into(&self, kind: Kind) -> Result<Loaded, LoadError> {
        let loaded = |into: &str, transfer| Loaded { into: into.into(), transfer, imported: None };
        Ok(match kind {
            Kind::Docker => docker::load(self)?,
            Kind::Podman => loaded("podman", podman::load(self)?),
            Kind::Containerd => loaded("containerd", containerd::load(self)?),
        })
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

    /// Writes the archive, without this many of the lowest layers, which the engine holds. What is
    /// waited for afterwards is the engine of this name.
    fn write(
        &self,
        held: usize,
        output: &mut dyn Writer,
        engine: &'static str,
    ) -> Result<Transfer, LoadError> {
        let sent = self.blobs.all()[held..].iter().map(|blob| blob.size).sum();
        self.observer.step(Step::Sending, Some(sent));
        let mut archive = DockerArchive::new(output).without(held);
        let transfer = archive.write_part(self.blobs.digester(), self.observer)?;
        self.observer.step(Step::Unpacking(engine), None);
        Ok(transfer)
    }

    /// Says that the engine of this name is waited for.
    fn asking(&self, engine: &'static str) {
        self.observer.step(Step::Asking(engine), None);
    }
}
