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
mod podman;
mod pull;

use std::time::Duration;

use anyhow::Context as _;
use thiserror::Error;

use crate::cache::Cache;
use crate::digest::Digest;
use crate::engine::{Blobs, Engine, Options};
use crate::http::HeadError;
use crate::oci::Reference;
use crate::progress::Progress;
use crate::sink::{self, Output, Written};

/// Work may stand still for so many times as long as a question may take: a layer is being
/// written to a slow disk, perhaps.
const STANDSTILL: u32 = 10;

/// An engine is there and does nothing. It is of no use to ask it in another way.
#[derive(Debug, Error)]
#[error("{what} for {} s; {remedy}, or wait longer with `--timeout`", waited.as_secs())]
struct Silence {
    what: String,
    remedy: &'static str,
    waited: Duration,
}

/// A kind of container engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// dockerd, at its API
    Docker,
    /// podman, by its command
    Podman,
    /// containerd, by nerdctl or ctr
    Containerd,
}

/// A way to deliver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Way {
    /// An archive without the layers that the engine holds
    Archive,
    /// A registry on the loopback that the engine pulls from
    Pull,
    /// The whole archive
    Stream,
}

/// What is to be loaded.
#[derive(Debug)]
pub struct Delivery<'a> {
    /// The image's layers.
    pub blobs: &'a Blobs<'a>,
    /// Its name, taken apart.
    pub name: &'a Reference,
    /// Where digests are remembered.
    pub cache: &'a Cache,
    /// How layers are read.
    pub options: Options,
    /// Who is told of detours.
    pub progress: &'a Progress,
    /// Only this way, no other.
    pub way: Option<Way>,
    /// How long the engine may take for an answer; its work may stand still for ten times that.
    pub timeout: Duration,
}

impl Delivery<'_> {
    /// Loads the image and says what had to be sent for it.
    pub fn load_into(&self, kind: Option<Kind>) -> anyhow::Result<Written> {
        match kind.map_or_else(detect, Ok)? {
            Kind::Docker => docker::load(self),
            Kind::Podman => podman::load(self),
            Kind::Containerd => containerd::load(self),
        }
    }

    /// The image's ID: the digest of its configuration.
    fn id(&self) -> Digest {
        Digest::of(self.blobs.config_json().as_bytes())
    }

    /// How long a command of the engine may stand still: each of them is work.
    fn command_limit(&self) -> Duration {
        self.timeout * STANDSTILL
    }

    /// Goes the short way, and after its failure the long one.
    fn deliver(
        &self,
        short: impl FnOnce() -> anyhow::Result<Written>,
        whole: impl FnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<Written> {
        if self.way != Some(Way::Stream) {
            match short() {
                Ok(written) => return Ok(written),
                Err(error) if self.way.is_some() || error.is::<Silence>() => return Err(error),
                Err(error) => self.progress.warn(&format!(
                    "the engine did not take the missing layers alone; sending the whole image \
                     ({error:#})"
                )),
            }
        }
        whole()?;
        Ok(Written { layers: self.blobs.all().len(), bytes: self.blobs.size() })
    }

    /// Writes the whole archive.
    fn stream(&self, output: &mut Output) -> anyhow::Result<()> {
        let known = self.blobs.known();
        let engine = Engine::with_digests(self.blobs.image(), self.cache, &known);
        engine.run(self.options, |engine, mut pieces| {
            sink::write_docker_archive(engine, &mut pieces, output, self.progress, false)
        })
    }
}

/// Whether an error is that somebody did not read or write in time.
fn has_timed_out(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        matches!(cause.downcast_ref(), Some(HeadError::TimedOut))
            || cause
                .downcast_ref::<std::io::Error>()
                .is_some_and(|error| error.kind() == std::io::ErrorKind::TimedOut)
    })
}

/// The engine of this machine.
fn detect() -> anyhow::Result<Kind> {
    if docker::is_there() {
        return Ok(Kind::Docker);
    }
    if command::find("podman").is_some() {
        return Ok(Kind::Podman);
    }
    if containerd::is_there() {
        return Ok(Kind::Containerd);
    }
    Err(anyhow::anyhow!(
        "dockerd does not answer, and neither podman nor containerd is there; start one of them \
         or name it with `--engine`"
    ))
    .context("found no container engine")
}
