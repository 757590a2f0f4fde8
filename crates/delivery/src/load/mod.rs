//! Loads an image into a container engine, transferring only what the engine lacks.
//!
//! Each engine has a short way: dockerd accepts an archive without the layers that it has, and the
//! others pull what they lack from a registry that this program runs for the purpose. If that
//! fails, the whole archive is streamed, which always works.

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

/// Work may go without progress this many times as long as a question may take, as when a layer is
/// being written to a slow disk.
const STANDSTILL: u32 = 10;

/// The maximum number of characters shown of an image ID.
const MAX_ID: usize = 100;

/// A way of loading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// An archive without the layers that the engine has.
    Archive,
    /// A registry on the loopback interface that the engine pulls from.
    Pull,
    /// The whole archive.
    Stream,
}

/// An image to load, and how.
#[derive(Debug)]
pub struct Delivery<'a> {
    /// The image's layers.
    pub blobs: &'a Blobs<'a>,
    /// Its name.
    pub name: &'a Reference,
    /// Receives progress and warnings.
    pub observer: &'a dyn Observer,
    /// Whether a containerd in which the layers become snapshots gets their blobs too. Without
    /// them, containers run but the image cannot be pushed or exported.
    pub content: bool,
    /// The only way to use; `None` allows all.
    pub way: Option<Way>,
    /// How long the engine may take to answer; its work may go without progress for ten times that.
    pub timeout: Duration,
}

/// The result of loading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// What has the image now: the engine's name, with its address if that is another machine.
    pub into: String,
    /// What the engine lacked.
    pub transfer: Transfer,
    /// How the files got there, unless they were sent.
    pub imported: Option<Imported>,
}

/// How the files of missing layers got into an engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Bytes in files that are hard links to the store's.
    pub linked: u64,
    /// Bytes in files that share the store's blocks.
    pub reflinked: u64,
    /// Bytes in files that were copied or unpacked.
    pub copied: u64,
}

impl Delivery<'_> {
    /// Loads the image into an engine.
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

    /// Places the layers in the engine's storage; `None` if they have to be sent.
    fn import_into(&self, engine: Engine) -> Result<Option<Loaded>, LoadError> {
        let Some(layers) = engine.layers else { return Ok(None) };
        match layers.put(self, engine.import) {
            Ok(loaded) => Ok(Some(loaded)),
            Err(error) if engine.import != Import::Auto || error.is_final() => Err(error),
            Err(error) => {
                let why = causes::line(&error);
                if error.is_unfit() {
                    self.observer.note(&format!("sending the image instead of linking it: {why}"));
                } else {
                    self.observer.warn(&format!(
                        "could not place the layers in the engine's storage; sending them instead \
                         ({why})"
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

    /// The result if the engine has all layers.
    fn nothing_sent(&self) -> Transfer {
        Transfer::none(self.blobs.all().len(), self.blobs.size())
    }

    /// The image's ID: the digest of its config.
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

    /// How long an engine's command may go without progress. All of them count as work.
    fn command_limit(&self) -> Duration {
        self.timeout * STANDSTILL
    }

    /// Tries the short way, and if that fails the whole image.
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
                    "could not send only the missing layers; sending the whole image ({})",
                    causes::line(&error)
                )),
            }
        }
        whole()
    }

    /// Writes the archive without the `held` lowest layers, which the engine has, then reports that
    /// the engine is unpacking.
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

    /// Reports that the engine is being asked.
    fn asking(&self, engine: &'static str) {
        self.observer.step(Step::Asking(engine), None);
    }
}
