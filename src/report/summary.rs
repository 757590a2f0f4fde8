//! What a command has come to.

use std::fmt::{self, Display, Formatter};
use std::path::Path;
use std::time::Instant;

use delivery::Transfer;
#[cfg(feature = "load")]
use delivery::load::{How, Imported};
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
    Loaded { image: &'a str, engine: &'a str, imported: Option<Imported> },
    /// It would be loaded into an engine, in this way.
    #[cfg(feature = "load")]
    WouldLoad { image: &'a str, engine: &'a str, how: How },
    /// It was pushed under a name.
    #[cfg(feature = "push")]
    Pushed { image: String, digest: Digest },
    /// It would be pushed under a name: bytes are those that are sent at most.
    #[cfg(feature = "push")]
    WouldPush { image: String },
    /// It was pulled from a registry.
    #[cfg(feature = "pull")]
    Pulled { image: String },
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
            Deed::Loaded { image, engine, .. } => write!(formatter, "loaded {image} into {engine}"),
            #[cfg(feature = "load")]
            Deed::WouldLoad { image, engine, .. } => {
                write!(formatter, "would load {image} into {engine}")
            }
            #[cfg(feature = "push")]
            Deed::Pushed { image, .. } => write!(formatter, "pushed {image}"),
            #[cfg(feature = "push")]
            Deed::WouldPush { image } => write!(formatter, "would push {image}"),
            #[cfg(feature = "pull")]
            Deed::Pulled { image } => write!(formatter, "pulled {image}"),
        }?;
        let Transfer { layers, layers_sent, bytes, bytes_sent } = self.transfer;
        write!(formatter, ": {layers_sent} of {layers} layers, ")?;
        #[cfg(feature = "load")]
        if let Some(imported) = self.imported() {
            write_imported(imported, formatter)?;
            return write!(formatter, ", {:.1} s", self.start.elapsed().as_secs_f64());
        }
        write!(formatter, "{} of {}", Bytes(bytes_sent), Bytes(bytes))?;
        #[cfg(feature = "load")]
        if let Deed::WouldLoad { how, .. } = self.deed {
            write!(formatter, " {}", in_words(how))?;
        }
        write!(formatter, ", {:.1} s", self.start.elapsed().as_secs_f64())
    }
}

/// How layers would get into an engine.
#[cfg(feature = "load")]
fn in_words(how: How) -> &'static str {
    match how {
        How::Placed => "linked or copied",
        How::Linked => "linked",
        How::Reflinked => "reflinked",
        How::Copied => "copied",
        How::Sent => "sent",
    }
}

#[cfg(feature = "load")]
impl Summary<'_> {
    /// How layers got into an engine without being sent.
    fn imported(&self) -> Option<Imported> {
        let Deed::Loaded { imported, .. } = self.deed else { return None };
        imported
    }
}

/// As in `790 MB linked, 2 kB copied`.
#[cfg(feature = "load")]
fn write_imported(imported: Imported, formatter: &mut Formatter<'_>) -> fmt::Result {
    let Imported { linked, reflinked, copied } = imported;
    let ways = [(linked, "linked"), (reflinked, "reflinked"), (copied, "copied")];
    let mut ways = ways.into_iter().filter(|(bytes, _)| *bytes > 0);
    let Some((bytes, way)) = ways.next() else { return write!(formatter, "{} linked", Bytes(0)) };
    write!(formatter, "{} {way}", Bytes(bytes))?;
    ways.try_for_each(|(bytes, way)| write!(formatter, ", {} {way}", Bytes(bytes)))
}

impl Outcome for Summary<'_> {
    fn to_json(&self) -> Value {
        let mut object = match &self.deed {
            Deed::Wrote { image, path } => {
                json!({ "event": "wrote", "image": image, "path": path.to_string_lossy() })
            }
            #[cfg(feature = "load")]
            Deed::Loaded { image, engine, .. } => {
                json!({ "event": "loaded", "image": image, "engine": engine })
            }
            #[cfg(feature = "load")]
            Deed::WouldLoad { image, engine, how } => {
                let how = in_words(*how);
                json!({ "event": "would_load", "image": image, "engine": engine, "how": how })
            }
            #[cfg(feature = "push")]
            Deed::Pushed { image, digest } => {
                json!({ "event": "pushed", "image": image, "digest": digest.to_string() })
            }
            #[cfg(feature = "push")]
            Deed::WouldPush { image } => json!({ "event": "would_push", "image": image }),
            #[cfg(feature = "pull")]
            Deed::Pulled { image } => json!({ "event": "pulled", "image": image }),
        };
        let Transfer { layers, layers_sent, bytes, bytes_sent } = self.transfer;
        object["layers"] = layers.into();
        object["layers_sent"] = layers_sent.into();
        object["bytes"] = bytes.into();
        object["bytes_sent"] = bytes_sent.into();
        #[cfg(feature = "load")]
        if let Some(Imported { linked, reflinked, copied }) = self.imported() {
            object["bytes_linked"] = linked.into();
            object["bytes_reflinked"] = reflinked.into();
            object["bytes_copied"] = copied.into();
        }
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
