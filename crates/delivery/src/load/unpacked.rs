//! Where engines store unpacked layers, and how to place layers there directly.

use std::time::Duration;

use super::containerd::snapshots::{self, Place};
use super::podman::remembered::{self, Question};
use super::preview::Held;
use super::{Delivery, Import, Imported, Kind, LoadError, Loaded, STANDSTILL, docker, podman};
use crate::trees::{self, Counts};
use image::cache::Cache;

/// Where an engine stores unpacked layers.
#[derive(Debug)]
pub(super) enum UnpackedLayers {
    /// podman's storage, whose location podman may still be asked for.
    Podman(Question),
    /// The snapshots of a containerd.
    Containerd(Place),
    /// The snapshots of the containerd that a dockerd uses.
    Docker(Place),
}

impl UnpackedLayers {
    /// Where an engine stores them, or why layers cannot be placed there.
    pub(super) fn find(
        kind: Kind,
        timeout: Duration,
        cache: &Cache,
    ) -> Result<Result<Self, String>, LoadError> {
        Ok(match kind {
            // podman may take longer to answer than reading the image takes.
            Kind::Podman => Ok(Self::Podman(remembered::ask(cache, timeout * STANDSTILL)?)),
            Kind::Containerd => snapshots::find().map(Self::Containerd),
            Kind::Docker => docker::snapshots(timeout)?.map(Self::Docker),
        })
    }

    /// Whether tar-splits have to be stored with them.
    pub(super) fn want_tar_splits(&self) -> bool {
        matches!(self, Self::Podman(_))
    }

    /// Places an image's layers there, and gives the image its name.
    pub(super) fn put(self, delivery: &Delivery<'_>, import: Import) -> Result<Loaded, LoadError> {
        match self {
            Self::Podman(question) => podman::put(delivery, question, import),
            Self::Containerd(place) => snapshots::put(delivery, &place, import, "containerd", None),
            Self::Docker(place) => docker::put(delivery, &place, import),
        }
    }
}

impl UnpackedLayers {
    /// How many of an image's lowest layers are there, and how the others would get there.
    pub(super) fn preview(
        self,
        delivery: &Delivery<'_>,
        import: Import,
    ) -> Result<Held, LoadError> {
        match self {
            Self::Podman(question) => podman::preview_placed(delivery, question, import),
            Self::Containerd(place) => snapshots::preview(delivery, &place, import),
            Self::Docker(place) => {
                docker::check_name(delivery)?;
                snapshots::preview(delivery, &place, import)
            }
        }
    }
}

impl From<Import> for trees::Import {
    fn from(import: Import) -> Self {
        match import {
            Import::Auto | Import::Off => Self::Auto,
            Import::Link => Self::Link,
            Import::Reflink => Self::Reflink,
            Import::Copy => Self::Copy,
        }
    }
}

impl From<Counts> for Imported {
    fn from(counts: Counts) -> Self {
        Self {
            linked: counts.linked.bytes,
            reflinked: counts.reflinked.bytes,
            copied: counts.copied.bytes,
        }
    }
}
