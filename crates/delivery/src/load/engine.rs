//! Chooses the engine to load into, and whether layers are placed in its storage directly.

use std::time::Duration;

use super::command;
use super::unpacked::UnpackedLayers;
use super::{LoadError, containerd, docker, podman};
use crate::observer::{Observer, Step};
use image::cache::Cache;

/// A kind of container engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// dockerd, through its API.
    Docker,
    /// podman, through its command.
    Podman,
    /// containerd, through nerdctl or ctr.
    Containerd,
}

/// How files get from the store into the directories in which an engine stores unpacked layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Import {
    /// The first of the ways below that works; if none does, the image is sent.
    #[default]
    Auto,
    /// As hard links.
    Link,
    /// As separate files that share the store's blocks.
    Reflink,
    /// As copies.
    Copy,
    /// Not at all: the image is sent.
    Off,
}

/// An engine on this machine.
#[derive(Debug)]
pub struct Engine {
    pub(super) kind: Kind,
    pub(super) import: Import,
    pub(super) layers: Option<UnpackedLayers>,
}

impl Engine {
    /// Finds the named engine, or the first one on this machine, and checks that it is available.
    /// Call this before reading an image, which may take minutes.
    ///
    /// # Errors
    ///
    /// Fails if no engine is found or the engine does not answer, or if `import` requests a way
    /// that does not work for it.
    pub fn find(
        named: Option<Kind>,
        import: Import,
        timeout: Duration,
        cache: &Cache,
        observer: &dyn Observer,
    ) -> Result<Self, LoadError> {
        let kind = named.map_or_else(|| Kind::detect(observer), Ok)?;
        observer.step(Step::Asking(kind.name()), None);
        match kind {
            Kind::Docker => docker::check(timeout)?,
            Kind::Podman => podman::check()?,
            Kind::Containerd => containerd::check(timeout)?,
        }
        let layers = match import {
            Import::Off => None,
            _ => match UnpackedLayers::find(kind, timeout, cache)? {
                Ok(layers) => Some(layers),
                Err(why) if import == Import::Auto => {
                    observer.note(&format!("sending the image instead of linking it: {why}"));
                    None
                }
                Err(why) => return Err(LoadError::NoImport { why }),
            },
        };
        Ok(Self { kind, import, layers })
    }

    /// Whether the image's digester should make tar-splits for this engine.
    pub fn wants_tar_splits(&self) -> bool {
        self.layers.as_ref().is_some_and(UnpackedLayers::want_tar_splits)
    }
}

impl Kind {
    /// The engine's name in messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Docker => "dockerd",
            Self::Podman => "podman",
            Self::Containerd => "containerd",
        }
    }

    /// Chooses the engine of this machine. This is the only place that chooses: if the chosen
    /// engine fails, no other is tried.
    fn detect(observer: &dyn Observer) -> Result<Self, LoadError> {
        let Some(no_docker) = docker::absence()? else { return Ok(Self::Docker) };
        let (kind, name) = if command::find("podman").is_some() {
            (Self::Podman, "podman")
        } else if containerd::is_there() {
            (Self::Containerd, "containerd")
        } else {
            return Err(LoadError::NoEngine { no_docker });
        };
        // If the docker command is installed, the user may expect the image there.
        if command::find("docker").is_some() {
            observer.warn(&format!("{no_docker}, so the image goes into {name}"));
        }
        Ok(kind)
    }
}
