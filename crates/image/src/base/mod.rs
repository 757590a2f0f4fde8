//! The base image: a docker-archive, possibly compressed, whose layers come first.

mod archive;
mod codec;
mod document;
mod error;
mod header;
mod members;
mod records;
mod stream;

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use serde_json::Value;

use crate::content::{Content, ReadError};
use archive::Index;
pub(crate) use codec::Codec;
pub use error::BaseError;
use formats::digest::Digest;
use formats::tar::Record;
use oci::Compression;
pub use stream::BaseStream;
use stream::Decompressed;

/// A base image, of which manifest and configuration were read.
#[derive(Debug)]
pub struct Base {
    /// Its layers, lowest first.
    pub layers: Vec<BaseLayer>,
    /// The variables that its configuration sets.
    env: Vec<String>,
}

/// Layers that an image may have; engines take some hundreds at most.
const MAX_LAYERS: usize = 10_000;

/// The file that a base image is.
#[derive(Debug)]
pub struct Archive {
    path: PathBuf,
    codec: Codec,
    /// Where the last one to read it got to: a compressed archive can only be read forward, and
    /// its layers are mostly read in order.
    spare: Mutex<Option<Decompressed>>,
}

/// One layer of a base image.
#[derive(Clone, Debug)]
pub struct BaseLayer {
    /// The archive that it is in.
    pub archive: Arc<Archive>,
    /// Digest of the layer's tar file, as the configuration has it.
    pub diff_id: Digest,
    /// The archive's member that holds the layer.
    pub member: Arc<ArchiveMember>,
}

/// A regular member of the base's archive: its header, and where its content is.
#[derive(Clone, Debug)]
pub struct ArchiveMember {
    /// The name.
    pub name: Vec<u8>,
    /// The type flag.
    pub typeflag: u8,
    /// What it links to; a file may have such a text too.
    pub target: Vec<u8>,
    /// Permission bits.
    pub mode: u32,
    /// The owner's number.
    pub uid: i64,
    /// The group's number.
    pub gid: i64,
    /// The owner's name.
    pub uname: Vec<u8>,
    /// The group's name.
    pub gname: Vec<u8>,
    /// Time of last change, in seconds since 1970.
    pub mtime: i64,
    /// The records of the extended headers in front of it.
    pub records: Arc<Vec<Record>>,
    /// Bytes of content.
    pub size: u64,
    /// Whether the content is not all there, being that of a file with holes.
    is_sparse: bool,
    /// Where in the decompressed archive the content starts.
    pub offset: u64,
    /// How the content is compressed.
    codec: Codec,
}

impl ArchiveMember {
    /// Whether it is a regular file that is all there.
    fn is_file(&self) -> bool {
        matches!(self.typeflag, b'0' | 0 | b'7') && !self.is_sparse
    }
}

impl Archive {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is compressed, so that it is read from its start to wherever a layer is.
    pub fn is_compressed(&self) -> bool {
        self.codec != Codec::None
    }
}

impl BaseLayer {
    /// The layer's bytes, which at their end are found to be the layer that the base's
    /// configuration names.
    pub fn stream(&self) -> Result<BaseStream<'_>, BaseError> {
        BaseStream::new(self)
    }

    /// The layer as part of a file; `None` if the archive is compressed.
    pub fn section(&self) -> Option<Result<Content, ReadError>> {
        let (path, member) = (self.archive.path(), &self.member);
        (!self.archive.is_compressed())
            .then(|| Content::open_section(path, member.offset, member.size))
    }

    /// The error of a layer that has another digest than the configuration says.
    pub fn mismatch(&self, found: Digest) -> BaseError {
        BaseError::Mismatch {
            path: self.archive.path.clone(),
            member: self.name().into(),
            expected: self.diff_id,
            found,
        }
    }

    /// The error of a layer that is compressed in a way that engines do not know.
    pub(crate) fn unusable(&self) -> BaseError {
        BaseError::Member {
            path: self.archive.path.clone(),
            member: self.name().into(),
            problem: "is compressed in a way that no engine takes",
        }
    }

    /// The name of its member, as far as it is UTF-8.
    pub fn name(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.member.name)
    }

    /// How the layer stands in the archive; `None` if no engine takes it so.
    pub fn compression(&self) -> Option<Compression> {
        match self.member.codec {
            Codec::None => Some(Compression::None),
            Codec::Gzip => Some(Compression::Gzip),
            Codec::Zstd => Some(Compression::Zstd),
            Codec::Bzip2 | Codec::Xz => None,
        }
    }
}

impl Base {
    /// Reads the manifest and the configuration of the archive's first image.
    pub fn open(path: &Path) -> Result<Self, BaseError> {
        let read_error = |source| BaseError::Read { path: path.to_owned(), source };
        let codec = Codec::detect(path).map_err(read_error)?;
        let index = Index::read(path, codec).map_err(read_error)?;
        if index.find(b"manifest.json").is_none() {
            return Err(BaseError::NoManifest(path.to_owned()));
        }
        let documents = Documents { path, codec, index: &index };
        let manifest = documents.json("manifest.json")?;
        let image = manifest.get(0).unwrap_or(&Value::Null);
        let config_name = documents.string(&image["Config"], "manifest.json's Config")?;
        let config = documents.json(config_name)?;
        let names = documents.strings(&image["Layers"], "manifest.json's Layers")?;
        let diff_ids = documents.strings(&config["rootfs"]["diff_ids"], "its list of diff_ids")?;
        if names.len() != diff_ids.len() {
            let (layers, ids) = (names.len(), diff_ids.len());
            return Err(documents.broken(format!("it has {layers} layers, but {ids} diff_ids")));
        }
        if names.len() > MAX_LAYERS {
            let layers = names.len();
            return Err(
                documents.broken(format!("it has {layers} layers, more than any engine takes"))
            );
        }
        let archive = Arc::new(Archive { path: path.to_owned(), codec, spare: Mutex::default() });
        let layer = |(name, diff_id): (&str, &str)| {
            let diff_id = Digest::from_hex(diff_id.strip_prefix("sha256:").unwrap_or(diff_id));
            Ok(BaseLayer {
                archive: Arc::clone(&archive),
                member: Arc::clone(documents.layer(name)?),
                diff_id: diff_id
                    .map_err(|source| BaseError::DiffId { path: path.to_owned(), source })?,
            })
        };
        let layers = names.into_iter().zip(diff_ids).map(layer).collect::<Result<_, _>>()?;
        let env = match &config["config"] {
            Value::Object(config) => config.get("Env").unwrap_or(&Value::Null),
            Value::Null => &Value::Null,
            _ => return Err(documents.broken("its `config` is not an object".into())),
        };
        let env = match env {
            Value::Null => Vec::new(),
            env => documents.strings(env, "its Env")?.into_iter().map(str::to_owned).collect(),
        };
        Ok(Self { layers, env })
    }

    /// The variables that every image on top of this one inherits.
    pub fn env(&self) -> impl Iterator<Item = &str> {
        self.env.iter().map(String::as_str)
    }
}

/// Reads the archive's JSON members.
struct Documents<'a> {
    path: &'a Path,
    codec: Codec,
    index: &'a Index,
}

impl Documents<'_> {
    fn layer(&self, name: &str) -> Result<&Arc<ArchiveMember>, BaseError> {
        let member = self.file(name)?;
        let time = member.records.iter().find(|(keyword, _)| keyword == b"mtime");
        if time.is_some_and(|(_, value)| !records::float(value).is_finite()) {
            return Err(self.member(name, "has a time that is not a finite number"));
        }
        Ok(member)
    }

    fn file(&self, name: &str) -> Result<&Arc<ArchiveMember>, BaseError> {
        let broken = |problem| self.member(name, problem);
        let member = self.index.find(name.as_bytes());
        let member = member.ok_or_else(|| broken("is named by the manifest, but not there"))?;
        match member.typeflag {
            _ if member.is_file() => Ok(member),
            b'1' | b'2' => Err(broken(
                "is a link to another layer, as old versions of Docker wrote it; load the \
                 image into a current Docker and save it again",
            )),
            _ if member.is_sparse => Err(broken(
                "is stored as a file with holes; write the archive again without them, as tar \
                 does without --sparse and bsdtar with --no-read-sparse",
            )),
            _ => Err(broken("is not a file")),
        }
    }

    fn json(&self, name: &str) -> Result<Value, BaseError> {
        let member = self.file(name)?;
        let content = self.index.content(member, self.path, self.codec);
        let content =
            content.map_err(|source| BaseError::Read { path: self.path.to_owned(), source })?;
        document::parse(&content)
            .map_err(|error| self.broken(format!("`{name}` is not valid JSON: {error}")))
    }

    fn string<'a>(&self, value: &'a Value, what: &str) -> Result<&'a str, BaseError> {
        value.as_str().ok_or_else(|| self.broken(format!("{what} is not a string")))
    }

    fn strings<'a>(&self, value: &'a Value, what: &str) -> Result<Vec<&'a str>, BaseError> {
        let list = value.as_array().and_then(|list| list.iter().map(Value::as_str).collect());
        list.ok_or_else(|| self.broken(format!("{what} is not a list of strings")))
    }

    fn member(&self, name: &str, problem: &'static str) -> BaseError {
        BaseError::Member { path: self.path.to_owned(), member: name.into(), problem }
    }

    fn broken(&self, problem: String) -> BaseError {
        BaseError::Document { path: self.path.to_owned(), problem }
    }
}
