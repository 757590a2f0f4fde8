//! Base images: docker-archives, OCI layouts and OCI archives, whose layers come first.
//!
//! A docker-archive has its layers as members, which stay as they stand there. A layout (OCI image
//! layout specification 1.1) has them as blobs that a manifest describes: those that are compressed
//! stay so where blobs are wanted, and are decompressed where tar files are.

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

/// A base image, of which manifest and configuration were read.
#[derive(Debug)]
pub struct Base {
    /// Its layers, lowest first.
    pub layers: Vec<BaseLayer>,
    /// The variables that its configuration sets.
    env: Vec<String>,
    /// The configuration, byte for byte.
    config: Vec<u8>,
    /// The names and tags that it goes by.
    names: Vec<String>,
    is_layout: bool,
}

/// Layers that an image may have; engines take some hundreds at most.
const MAX_LAYERS: usize = 10_000;

/// A file that layers are in.
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
    /// The file that it is in: an archive, or the blob of a layout.
    pub archive: Arc<Archive>,
    /// Digest of the layer's tar file, as the configuration has it.
    pub diff_id: Digest,
    /// Where it is in that file. Of a docker-archive this is the member that holds the layer.
    pub member: Arc<Member>,
    /// The digest of the blob, if the layer is one of a layout. The layers of a docker-archive
    /// stand in archives as they stand there; those of a layout are decompressed.
    pub blob: Option<Digest>,
    /// How it is compressed.
    codec: Codec,
}

impl Archive {
    fn new(path: &Path, codec: Codec) -> Arc<Self> {
        Arc::new(Self { path: path.to_owned(), codec, spare: Mutex::default() })
    }

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
    /// The bytes of the layer as it stands in its file, which at their end are found to be the
    /// layer that the base's configuration names.
    pub fn stream(&self) -> Result<BaseStream<'_>, BaseError> {
        BaseStream::new(self)
    }

    /// The bytes of the layer's tar file, which at their end are found to be those that the base's
    /// configuration names.
    pub fn plain(&self) -> Result<PlainStream<'_>, BaseError> {
        PlainStream::new(self)
    }

    /// Whether the layer is another one in an archive than it is in its file.
    pub(crate) fn is_unpacked_for_archives(&self) -> bool {
        self.blob.is_some() && self.codec != Codec::None
    }

    /// The layer as part of a file; `None` if the archive is compressed.
    pub fn section(&self) -> Option<Result<Content, ReadError>> {
        let (path, member) = (self.archive.path(), &self.member);
        (!self.archive.is_compressed())
            .then(|| Content::open_section(path, member.offset, member.size))
    }

    /// The layer's tar file as part of a file; `None` if it, or the archive, is compressed.
    pub(crate) fn plain_section(&self) -> Option<Result<Content, ReadError>> {
        self.section().filter(|_| self.codec == Codec::None)
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

    /// Checks the digest that a compressed layer of a layout was found to have as it stands there.
    ///
    /// # Errors
    ///
    /// If its manifest says another one.
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

    /// How the layer stands in its file; `None` if no engine takes it so.
    pub fn compression(&self) -> Option<Compression> {
        self.codec.compression()
    }
}

impl Base {
    /// Reads manifest and configuration of one image.
    ///
    /// `path` is a docker-archive, an OCI archive, each compressed or not, or the directory of an
    /// OCI layout. Links in a layout that lead into `store` are followed there.
    ///
    /// # Errors
    ///
    /// If it is neither of these, has not the one image that `choice` asks for, or is broken.
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

    /// The variables that every image on top of this one inherits.
    pub fn env(&self) -> impl Iterator<Item = &str> {
        self.env.iter().map(String::as_str)
    }

    /// The configuration, byte for byte.
    pub fn config(&self) -> &[u8] {
        &self.config
    }

    /// Whether it is in a layout, in a directory or an archive.
    pub fn is_layout(&self) -> bool {
        self.is_layout
    }

    /// The names and tags that it goes by, as its archive or layout has them.
    pub fn names(&self) -> &[String] {
        &self.names
    }
}
