//! Base images: docker-archives, OCI layouts and OCI archives. Their layers go below the image's
//! own.
//!
//! The layers of a docker-archive are its members, which are used byte for byte. A layout (OCI
//! image layout specification 1.1) has blobs that a manifest describes. Compressed blobs are used
//! unchanged where blobs are wanted, and decompressed where tar files are.

mod archive;
mod choice;
mod codec;
mod docker;
mod document;
mod error;
mod layout;
mod plain;
mod reader;
mod stream;

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::content::{Content, ReadError};
use crate::members::Member;
use crate::store::Store;
use archive::Index;
pub use choice::Choice;
pub(crate) use codec::Codec;
pub use document::parse_whole as parse_document;
pub use error::BaseError;
use formats::digest::Digest;
use oci::Compression;
pub use plain::PlainStream;
pub use reader::{ArchiveReader, docker_archive};
pub use stream::BaseStream;
use stream::Decompressed;

/// A base image whose manifest and config have been read.
#[derive(Debug)]
pub struct Base {
    /// Its layers, lowest first.
    pub layers: Vec<BaseLayer>,
    /// The environment variables that its config sets.
    env: Vec<String>,
    /// The config, byte for byte.
    config: Vec<u8>,
    /// The image's names and tags.
    names: Vec<String>,
    is_layout: bool,
}

/// The limit for an image's layers; engines support some hundreds at most.
const MAX_LAYERS: usize = 10_000;

/// A file that contains layers.
#[derive(Debug)]
pub struct Archive {
    path: PathBuf,
    codec: Codec,
    /// The last reader, where it stopped: a compressed archive can only be read forward, and its
    /// layers are mostly read in order.
    spare: Mutex<Option<Decompressed>>,
}

/// One layer of a base image.
#[derive(Clone, Debug)]
pub struct BaseLayer {
    /// The file that contains it: an archive, or the blob of a layout.
    pub archive: Arc<Archive>,
    /// Digest of the layer's tar file, as stated in the config.
    pub diff_id: Digest,
    /// Where the layer is in that file. In a docker-archive, the member that is the layer.
    pub member: Arc<Member>,
    /// The digest of the blob, if the layer is part of a layout. Archives get the layers of a
    /// docker-archive unchanged and those of a layout decompressed.
    pub blob: Option<Digest>,
    /// The layer's compression.
    codec: Codec,
}

impl Archive {
    fn new(path: &Path, codec: Codec) -> Arc<Self> {
        Arc::new(Self { path: path.to_owned(), codec, spare: Mutex::default() })
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file is compressed, so that reading a layer starts at the file's beginning.
    pub fn is_compressed(&self) -> bool {
        self.codec != Codec::None
    }
}

impl BaseLayer {
    /// Reads the layer's bytes as stored in its file, and verifies at the end that they match the
    /// diffID in the config.
    pub fn stream(&self) -> Result<BaseStream<'_>, BaseError> {
        BaseStream::new(self)
    }

    /// Reads the layer's tar file, and verifies at the end that it matches the diffID in the
    /// config.
    pub fn plain(&self) -> Result<PlainStream<'_>, BaseError> {
        PlainStream::new(self)
    }

    /// Whether the layer is decompressed when it is written to an archive.
    pub(crate) fn is_unpacked_for_archives(&self) -> bool {
        self.blob.is_some() && self.codec != Codec::None
    }

    /// The stored layer as a section of a file; `None` if the archive is compressed.
    pub fn section(&self) -> Option<Result<Content, ReadError>> {
        let (path, member) = (self.archive.path(), &self.member);
        (!self.archive.is_compressed())
            .then(|| Content::open_section(path, member.offset, member.size))
    }

    /// The layer's tar file as a section of a file; `None` if the layer or the archive is
    /// compressed.
    pub(crate) fn plain_section(&self) -> Option<Result<Content, ReadError>> {
        self.section().filter(|_| self.codec == Codec::None)
    }

    /// The error for a layer whose digest is not the one in the config.
    pub fn mismatch(&self, found: Digest) -> BaseError {
        BaseError::Mismatch {
            path: self.archive.path.clone(),
            member: self.name().into(),
            expected: self.diff_id,
            found,
        }
    }

    /// Checks the digest of the blob of a compressed layer in a layout.
    ///
    /// # Errors
    ///
    /// If the manifest has another digest.
    pub fn check_blob(&self, found: Digest) -> Result<(), BaseError> {
        match self.blob {
            Some(digest) if digest != found && self.codec != Codec::None => Err(BaseError::Blob {
                path: self.archive.path.clone(),
                digest,
                problem: format!(
                    "of a layer has the digest {found}; fetch or build the base again"
                ),
            }),
            _ => Ok(()),
        }
    }

    /// The error for a layer with a compression that engines do not support.
    pub(crate) fn unusable(&self) -> BaseError {
        BaseError::Member {
            path: self.archive.path.clone(),
            member: self.name().into(),
            problem: "has a compression that no engine supports",
        }
    }

    /// The name of its member, with any invalid UTF-8 replaced.
    pub fn name(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.member.name)
    }

    /// The layer's compression in its file; `None` if engines do not support it.
    pub fn compression(&self) -> Option<Compression> {
        self.codec.compression()
    }
}

impl Base {
    /// Reads the manifest and config of one image.
    ///
    /// `path` is a docker-archive or an OCI archive, compressed or not, or the directory of an OCI
    /// layout. Links in a layout that lead into `store` are resolved there.
    ///
    /// # Errors
    ///
    /// If it is none of these, does not have exactly one image that `choice` selects, or is broken.
    pub fn open(path: &Path, choice: &Choice<'_>, store: &Store) -> Result<Self, BaseError> {
        let read_error = |source| BaseError::Read { path: path.to_owned(), source };
        if path.is_dir() {
            return layout::open(&layout::Directory { path, store }, path, choice);
        }
        let codec = Codec::detect(path).map_err(read_error)?;
        let index = Index::read(path, codec).map_err(read_error)?;
        if index.find(b"manifest.json").is_none() {
            return layout::open(&layout::InArchive::new(path, codec, index), path, choice);
        }
        docker::open(path, codec, &index, choice)
    }

    /// The environment variables that images on top of this one inherit.
    pub fn env(&self) -> impl Iterator<Item = &str> {
        self.env.iter().map(String::as_str)
    }

    /// The config, byte for byte.
    pub fn config(&self) -> &[u8] {
        &self.config
    }

    /// Whether it is in a layout, in a directory or an archive.
    pub fn is_layout(&self) -> bool {
        self.is_layout
    }

    /// The image's names and tags in its archive or layout.
    pub fn names(&self) -> &[String] {
        &self.names
    }
}
