//! What a command has come to.

use std::fmt::{self, Display, Formatter};
use std::path::Path;
use std::time::Instant;

use delivery::Transfer;
#[cfg(feature = "push")]
use formats::digest::Digest;
use serde_json::{Value, json};

use super::Outcome;
use super::bytes::Bytes;

/// What was delivered, and how much of it was moved.
#[derive(Debug)]
pub(crate) struct Summary<'a> {
    /// What was done.
    pub(crate) deed: Deed<'a>,
    /// What was moved.
    pub(crate) transfer: Transfer,
    /// When the command started.
    pub(crate) start: Instant,
}

/// What was done with an image.
#[derive(Debug)]
pub(crate) enum Deed<'a> {
    /// It was written to a directory or file.
    Wrote { image: &'a str, path: &'a Path },
    /// It was loaded into an engine.
    #[cfg(feature = "load")]
    Loaded { image: &'a str, engine: &'a str },
    /// It was pushed under a name.
    #[cfg(feature = "push")]
    Pushed { image: String, digest: Digest },
}

/// An image can be pulled.
#[cfg(feature = "serve")]
#[derive(Debug)]
pub(crate) struct Serving<'a> {
    /// From where.
    pub(crate) address: std::net::SocketAddr,
    /// Under which name.
    pub(crate) image: &'a str,
}

impl Display for Summary<'_> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match &self.deed {
            Deed::Wrote { image, path } => {
                write!(formatter, "wrote {image} to `{}`", path.display())
            }
            #[cfg(feature = "load")]
            Deed::Loaded { image, engine } => write!(formatter, "loaded {image} into {engine}"),
            #[cfg(feature = "push")]
            Deed::Pushed { image, .. } => write!(formatter, "pushed {image}"),
        }?;
        let Transfer { layers, layers_sent, bytes, bytes_sent } = self.transfer;
        let (bytes, bytes_sent) = (Bytes(bytes), Bytes(bytes_sent));
        let seconds = self.start.elapsed().as_secs_f64();
        write!(
            formatter,
            ": {layers_sent} of {layers} layers, {bytes_sent} of {bytes}, {seconds:.1} s"
        )
    }
}

impl Outcome for Summary<'_> {
    fn to_json(&self) -> Value {
        let mut object = match &self.deed {
            Deed::Wrote { image, path } => {
                json!({ "event": "wrote", "image": image, "path": path.to_string_lossy() })
            }
            #[cfg(feature = "load")]
            Deed::Loaded { image, engine } => {
                json!({ "event": "loaded", "image": image, "engine": engine })
            }
            #[cfg(feature = "push")]
            Deed::Pushed { image, digest } => {
                json!({ "event": "pushed", "image": image, "digest": digest.to_string() })
            }
        };
        let Transfer { layers, layers_sent, bytes, bytes_sent } = self.transfer;
        object["layers"] = layers.into();
        object["layers_sent"] = layers_sent.into();
        object["bytes"] = bytes.into();
        object["bytes_sent"] = bytes_sent.into();
        object["milliseconds"] = (self.start.elapsed().as_millis() as u64).into();
        object
    }
}

#[cfg(feature = "serve")]
impl Display for Serving<'_> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        write!(formatter, "serving {}/{}", self.address, self.image)
    }
}

#[cfg(feature = "serve")]
impl Outcome for Serving<'_> {
    fn to_json(&self) -> Value {
        json!({ "event": "serving", "address": self.address.to_string(), "image": self.image })
    }
}
