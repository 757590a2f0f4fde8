//! What a load would do, without loading anything.

use super::{Delivery, Engine, Import, Kind, LoadError, docker, podman};
use crate::{Transfer, causes};
use formats::digest::BlobId;

/// The result that a load would have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// What would have the image: the engine's name, with its address if that is another machine.
    pub into: String,
    /// The layers that it lacks: their diffIDs and their sizes in bytes.
    pub missing: Vec<BlobId>,
    /// How much it lacks; everything if the engine does not report what it has.
    pub transfer: Transfer,
    /// How the missing layers would get there.
    pub how: How,
}

/// How layers get into an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// As hard links, reflinks or copies; which of them works is only known after the first file.
    Placed,
    /// As hard links.
    Linked,
    /// As reflinks.
    Reflinked,
    /// As copies.
    Copied,
    /// Sent to the engine.
    Sent,
}

#[cfg(target_os = "linux")]
impl From<crate::trees::Way> for How {
    fn from(way: crate::trees::Way) -> Self {
        match way {
            crate::trees::Way::Link => Self::Linked,
            crate::trees::Way::Reflink => Self::Reflinked,
            crate::trees::Way::Copy => Self::Copied,
        }
    }
}

/// How many of the lowest layers an engine has, and how it would get the others.
pub(super) struct Held {
    pub(super) layers: usize,
    pub(super) how: How,
}

impl Delivery<'_> {
    /// Asks an engine what it has, without changing anything in it. Where files could be linked,
    /// this is tried with one file, which is removed at once.
    ///
    /// # Errors
    ///
    /// If the engine does not answer, or if the requested way does not work.
    pub fn preview(&self, engine: Engine) -> Result<Preview, LoadError> {
        let kind = engine.kind;
        let placed = self.preview_placed(engine)?;
        let (into, held) = match (placed, kind) {
            (Some(held), Kind::Docker) => ("docker".to_owned(), held),
            (Some(held), Kind::Podman) => ("podman".to_owned(), held),
            (Some(held), Kind::Containerd) => ("containerd".to_owned(), held),
            (None, Kind::Docker) => docker::preview(self)?,
            (None, Kind::Podman) => ("podman".to_owned(), podman::preview(self)?),
            (None, Kind::Containerd) => {
                self.observer.note(
                    "not asking containerd which layers it has; it will only pull those it lacks",
                );
                ("containerd".to_owned(), Held { layers: 0, how: How::Sent })
            }
        };
        let all = self.blobs.all();
        let missing = all.iter().skip(held.layers);
        let missing: Vec<BlobId> =
            missing.map(|blob| BlobId { digest: blob.diff_id, size: blob.size }).collect();
        let transfer = Transfer {
            layers: all.len(),
            layers_sent: missing.len(),
            bytes: self.blobs.size(),
            bytes_sent: missing.iter().map(|layer| layer.size).sum(),
        };
        Ok(Preview { into, missing, transfer, how: held.how })
    }

    /// What a load would place in the engine's storage; `None` if the layers would be sent.
    fn preview_placed(&self, engine: Engine) -> Result<Option<Held>, LoadError> {
        let Some(layers) = engine.layers else { return Ok(None) };
        match layers.preview(self, engine.import) {
            Ok(held) => Ok(Some(held)),
            Err(error) if engine.import != Import::Auto || error.is_final() => Err(error),
            Err(error) => {
                let why = causes::line(&error);
                self.observer.note(&format!("the image would be sent instead of linked: {why}"));
                Ok(None)
            }
        }
    }
}
