//! The outcomes of commands, as sentences and as JSON. docs/json.md describes the JSON.

use std::fmt::{self, Display, Formatter};
use std::time::Instant;

use delivery::Transfer;
use formats::digest::Digest;
use serde::{Serialize, Serializer};

use super::units::Bytes;

/// What was done with an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Done {
    /// It was written to standard output.
    Streamed,
    /// It was written to a file or directory.
    Wrote,
    /// It was loaded into an engine.
    #[cfg(feature = "load")]
    Loaded,
    /// It would be loaded into an engine.
    #[cfg(feature = "load")]
    WouldLoad,
    /// It was pushed to a repository.
    #[cfg(feature = "push")]
    Pushed,
    /// It would be pushed to a repository, sending at most what the transfer says.
    #[cfg(feature = "push")]
    WouldPush,
    /// It was pulled from a registry into an archive.
    #[cfg(feature = "pull")]
    Pulled,
    /// It was added to a store.
    #[cfg(all(feature = "load", target_os = "linux"))]
    Added,
    /// It was in the store already.
    Exists,
}

/// How the missing layers were delivered.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Means {
    /// As part of an archive, a layout or a message. For a preview, how they would be.
    Whole(&'static str),
    /// File by file; the number of bytes in files.
    #[cfg(feature = "load")]
    Files { linked: u64, reflinked: u64, copied: u64 },
}

/// The outcome of a delivery.
#[derive(Debug)]
pub(crate) struct Delivered {
    pub(crate) done: Done,
    /// An engine, a repository, or the path of a file or directory.
    pub(crate) place: String,
    /// The names that the image has there.
    pub(crate) references: Vec<String>,
    /// The digest of the image's config; `None` if there are several images.
    pub(crate) image_id: Option<Digest>,
    /// The digest of the manifest or index, if known.
    pub(crate) digest: Option<Digest>,
    pub(crate) transfer: Transfer,
    pub(crate) means: Means,
    /// When the command started.
    pub(crate) start: Instant,
}

/// The JSON form of [`Delivered`].
#[derive(Serialize)]
struct Fields<'a> {
    what: Done,
    #[serde(rename = "where")]
    place: &'a str,
    references: &'a [String],
    image_id: Option<String>,
    digest: Option<String>,
    way: &'static str,
    layers: Layers,
    bytes: Sizes,
    seconds: f64,
}

#[derive(Serialize)]
struct Layers {
    total: usize,
    moved: usize,
}

#[derive(Serialize)]
struct Sizes {
    total: u64,
    moved: u64,
    linked: u64,
    reflinked: u64,
    copied: u64,
}

impl Means {
    /// Bytes in files that were linked, reflinked and copied.
    fn files(self) -> [(u64, &'static str); 3] {
        let (linked, reflinked, copied) = match self {
            Self::Whole(_) => (0, 0, 0),
            #[cfg(feature = "load")]
            Self::Files { linked, reflinked, copied } => (linked, reflinked, copied),
        };
        [(linked, "linked"), (reflinked, "reflinked"), (copied, "copied")]
    }

    /// How most bytes were delivered.
    fn way(self) -> &'static str {
        match self {
            Self::Whole(way) => way,
            #[cfg(feature = "load")]
            Self::Files { .. } => {
                // Among equals, `max_by_key` takes the last.
                let ways = self.files().into_iter().rev();
                ways.max_by_key(|(bytes, _)| *bytes).map_or("linked", |(_, way)| way)
            }
        }
    }
}

impl Serialize for Delivered {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Transfer { layers, layers_sent, bytes, bytes_sent } = self.transfer;
        let [(linked, _), (reflinked, _), (copied, _)] = self.means.files();
        let fields = Fields {
            what: self.done,
            place: &self.place,
            references: &self.references,
            image_id: self.image_id.map(|id| id.to_string()),
            digest: self.digest.map(|digest| digest.to_string()),
            way: if layers_sent == 0 { "none" } else { self.means.way() },
            layers: Layers { total: layers, moved: layers_sent },
            bytes: Sizes { total: bytes, moved: bytes_sent, linked, reflinked, copied },
            seconds: milliseconds(self.start),
        };
        fields.serialize(serializer)
    }
}

/// Seconds since the start, rounded down to milliseconds.
#[expect(clippy::cast_precision_loss, reason = "no command runs for 100,000 years")]
fn milliseconds(start: Instant) -> f64 {
    start.elapsed().as_millis() as f64 / 1000.0
}

impl Display for Delivered {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let (names, place) = (self.references.join(", "), &self.place);
        match self.done {
            Done::Streamed => write!(formatter, "wrote {names} to standard output"),
            Done::Wrote if place == "-" => write!(formatter, "wrote {names} to standard output"),
            Done::Wrote => write!(formatter, "wrote {names} to `{place}`"),
            #[cfg(feature = "load")]
            Done::Loaded => write!(formatter, "loaded {names} into {place}"),
            #[cfg(feature = "load")]
            Done::WouldLoad => write!(formatter, "would load {names} into {place}"),
            #[cfg(feature = "push")]
            Done::Pushed => write!(formatter, "pushed {names}"),
            #[cfg(feature = "push")]
            Done::WouldPush => write!(formatter, "would push {names}"),
            #[cfg(feature = "pull")]
            Done::Pulled => write!(formatter, "pulled {names}"),
            #[cfg(all(feature = "load", target_os = "linux"))]
            Done::Added => write!(formatter, "added {names} to `{place}`"),
            Done::Exists => write!(formatter, "{names} is in `{place}` already"),
        }?;
        if self.done != Done::Exists {
            let Transfer { layers, layers_sent, .. } = self.transfer;
            write!(formatter, ": {layers_sent} of {layers} layers, ")?;
            self.write_bytes(formatter)?;
        }
        #[cfg(feature = "load")]
        if self.done == Done::WouldLoad {
            write!(formatter, " {}", self.means.way())?;
        }
        write!(formatter, ", {:.1} s", self.start.elapsed().as_secs_f64())
    }
}

impl Delivered {
    /// Whether less may be sent than stated, as layers may turn out smaller when compressed.
    fn is_bound(&self) -> bool {
        match self.done {
            #[cfg(feature = "push")]
            Done::WouldPush => self.transfer.bytes_sent > 0,
            _ => false,
        }
    }

    /// Formats as `790 MB linked, 2.0 kB copied` or `3.0 MB of 790 MB`.
    fn write_bytes(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self.means {
            Means::Whole(_) => {
                let Transfer { bytes, bytes_sent, .. } = self.transfer;
                let at_most = if self.is_bound() { "at most " } else { "" };
                write!(formatter, "{at_most}{} of {}", Bytes(bytes_sent), Bytes(bytes))
            }
            #[cfg(feature = "load")]
            Means::Files { .. } => {
                let ways = self.means.files().into_iter().filter(|(bytes, _)| *bytes > 0);
                let ways: Vec<_> =
                    ways.map(|(bytes, way)| format!("{} {way}", Bytes(bytes))).collect();
                let nothing = || format!("{} linked", Bytes(0));
                formatter.write_str(&if ways.is_empty() { nothing() } else { ways.join(", ") })
            }
        }
    }
}

/// Images were written to an archive in another form.
#[derive(Debug, Serialize)]
pub(crate) struct Archived {
    /// Such as "merged".
    pub(crate) what: &'static str,
    /// The path of the file, or `-` for standard output.
    #[serde(rename = "where")]
    pub(crate) place: String,
    /// The images, as they were given.
    pub(crate) images: Vec<String>,
    /// The size of the file.
    pub(crate) bytes: u64,
    /// When the command started.
    #[serde(rename = "seconds", serialize_with = "seconds_since")]
    pub(crate) start: Instant,
}

fn seconds_since<S: Serializer>(start: &Instant, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(milliseconds(*start))
}

impl Display for Archived {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let Self { what, images, place, bytes, start } = self;
        write!(formatter, "{what} {}; wrote {} to ", images.join(", "), Bytes(*bytes))?;
        match place.as_str() {
            "-" => formatter.write_str("standard output")?,
            place => write!(formatter, "`{place}`")?,
        }
        write!(formatter, ", {:.1} s", start.elapsed().as_secs_f64())
    }
}

/// Images are being served.
#[cfg(feature = "serve")]
#[derive(Debug, Serialize)]
pub(crate) struct Serving {
    pub(crate) what: &'static str,
    /// The address and port.
    #[serde(rename = "where")]
    pub(crate) address: std::net::SocketAddr,
    /// The names, without the address.
    pub(crate) references: Vec<String>,
}

#[cfg(feature = "serve")]
impl Display for Serving {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let is_everywhere = self.address.ip().is_unspecified();
        let host = if is_everywhere {
            format!("localhost:{}", self.address.port())
        } else {
            self.address.to_string()
        };
        let names: Vec<_> = self.references.iter().map(|name| format!("{host}/{name}")).collect();
        write!(formatter, "serving {}", names.join(", "))?;
        if is_everywhere {
            formatter.write_str(", to other machines under the addresses of this one")?;
        }
        Ok(())
    }
}
