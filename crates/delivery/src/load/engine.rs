//! Which engine an image goes into, and whether its layers can be put there without it.

use std::time::Duration;

use super::command::{self, Patience};
#[cfg(target_os = "linux")]
use super::containerd::snapshots::{self, Place};
use super::podman::info::Info;
#[cfg(target_os = "linux")]
use super::podman::remembered;
use super::{LoadError, STANDSTILL, containerd, docker, podman};
use crate::observer::Observer;
use image::cache::Cache;

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

/// How files get from the store to where an engine keeps layers unpacked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Import {
    /// In the first of the ways below that works; where none does, the image is sent.
    #[default]
    Auto,
    /// As hard links.
    Link,
    /// As files of their own that share the store's blocks.
    Reflink,
    /// As copies.
    Copy,
    /// The image is sent.
    Off,
}

/// An engine of this machine.
#[derive(Debug)]
pub struct Engine {
    pub(super) kind: Kind,
    pub(super) import: Import,
    pub(super) layers: Option<UnpackedLayers>,
}

/// Where an engine keeps layers unpacked.
#[derive(Debug)]
pub(super) enum UnpackedLayers {
    /// podman's storage.
    Podman(Info),
    /// The snapshots of a containerd.
    #[cfg(target_os = "linux")]
    Containerd(Place),
    /// The snapshots of the containerd that a dockerd uses.
    #[cfg(target_os = "linux")]
    Docker(Place),
}

impl Engine {
    /// Finds the named engine, or the first one on this machine, and checks that it is available.
    /// Call this before reading an image, which may take minutes.
    ///
    /// # Errors
    ///
    /// If there is no engine, if it does not answer, and if layers cannot be imported in a way
    /// that is asked for by its name.
    pub fn find(
        named: Option<Kind>,
        import: Import,
        timeout: Duration,
        cache: &Cache,
        observer: &dyn Observer,
    ) -> Result<Self, LoadError> {
        let kind = named.map_or_else(|| Kind::detect(observer), Ok)?;
        match kind {
            Kind::Docker => docker::check(timeout)?,
            Kind::Podman => podman::check()?,
            Kind::Containerd => containerd::check(timeout)?,
        }
        let layers = match import {
            Import::Off => None,
            _ => match kind.unpacked_layers(timeout, cache)? {
                Ok(layers) => Some(layers),
                Err(why) if import == Import::Auto => {
                    observer.note(&format!("the image is sent, not linked: {why}"));
                    None
                }
                Err(why) => return Err(LoadError::NoImport { why }),
            },
        };
        Ok(Self { kind, import, layers })
    }

    /// Whether the digester of an image that goes there should make tar-splits.
    pub fn wants_tar_splits(&self) -> bool {
        matches!(self.layers, Some(UnpackedLayers::Podman(_)))
    }
}

impl Kind {
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

    /// Where the engine keeps layers unpacked, or why they cannot be put there.
    fn unpacked_layers(
        self,
        timeout: Duration,
        cache: &Cache,
    ) -> Result<Result<UnpackedLayers, String>, LoadError> {
        #[cfg(target_os = "linux")]
        let found = match self {
            Self::Podman => {
                let info = remembered::ask(cache, &Patience::of(timeout * STANDSTILL))?;
                info.map(UnpackedLayers::Podman)
            }
            Self::Docker => docker::snapshots(timeout)?.map(UnpackedLayers::Docker),
            Self::Containerd => snapshots::find().map(UnpackedLayers::Containerd),
        };
        #[cfg(not(target_os = "linux"))]
        let found = {
            let _ = (timeout, cache);
            Err("on this system, engines keep their layers on another machine".into())
        };
        Ok(found)
    }
}

#[cfg(target_os = "linux")]
impl From<Import> for crate::trees::Import {
    fn from(import: Import) -> Self {
        match import {
            Import::Auto | Import::Off => Self::Auto,
            Import::Link => Self::Link,
            Import::Reflink => Self::Reflink,
            Import::Copy => Self::Copy,
        }
    }
}
