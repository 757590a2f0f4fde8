//! A layer, and everything that depends on what it is made of.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::{ChecksumMismatch, LayerError};
use super::key::{self, BaseFact, Scanned};
use super::{LayerReader, LayerStream, Naming, Ownership, StoreLayer, TarStream, Trees, Unpacked};
use crate::base::BaseLayer;
use crate::budget::Budget;
use crate::cache::Key;
use crate::content::Content;
use crate::store::{self, Listing, NarHashes, StorePath};
use formats::digest::{BlobId, Digest, HashWriter};
use oci::{Annotations, annotation};

/// Bytes that are hashed at a time.
const CHUNK: usize = 256 << 10;

/// One layer of an image: what it is made of. A [`Digester`](crate::Digester) finds its digest.
#[derive(Debug)]
pub struct Layer {
    source: Source,
    origins: Vec<String>,
    /// The owner and time of what a base image's conf makes, if the layer belongs to such a base.
    lower: Option<Arc<Ownership>>,
}

/// What a layer is made of. This is private to the module.
#[derive(Debug)]
enum Source {
    /// A layer of the base image.
    Base(BaseLayer),
    /// Store paths, or the plain customisation tree of the first generation's confs.
    Store(StoreLayer),
    /// The finished customisation layer.
    Prebuilt(Prebuilt),
    /// A customisation layer that is missing from the store, but identified by its NAR hash in the
    /// conf.
    Absent(String),
}

/// A layer that was finished at build time.
#[derive(Debug)]
pub struct Prebuilt {
    /// The directory that contains it, as named in the conf.
    pub path: String,
    /// Its tar file.
    pub tar: PathBuf,
    /// The digest in the checksum file next to it.
    pub checksum: Digest,
}

/// A layer's place in an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A layer of the base image.
    Base,
    /// A layer with store paths.
    Store,
    /// The last layer, with the content of the image's root.
    Customisation,
}

impl Layer {
    pub(crate) fn base(layer: BaseLayer) -> Self {
        let origins = vec![String::from_utf8_lossy(&layer.member.name).into()];
        Self { source: Source::Base(layer), origins, lower: None }
    }

    pub(crate) fn store(layer: StoreLayer, origins: Vec<String>) -> Self {
        Self { source: Source::Store(layer), origins, lower: None }
    }

    pub(crate) fn prebuilt(layer: Prebuilt) -> Self {
        let origins = vec![layer.path.clone()];
        Self { source: Source::Prebuilt(layer), origins, lower: None }
    }

    /// A customisation layer that is not in the store, but has a NAR hash in the conf. That
    /// suffices if the layer only has to be identified.
    pub(crate) fn absent(path: String) -> Self {
        Self { origins: vec![path.clone()], source: Source::Absent(path), lower: None }
    }

    /// Turns the layer into one of a base image, whose conf determines the owner of its entries.
    pub(crate) fn into_lower(self, ownership: &Arc<Ownership>) -> Self {
        let lower = match &self.source {
            Source::Base(_) => None,
            _ => self.lower.or_else(|| Some(Arc::clone(ownership))),
        };
        Self { lower, ..self }
    }

    /// The layer's origins as stated in the image's history. For a layer of a base image, that is
    /// its member's name in the base image's archive.
    pub(crate) fn origins_in_history(&self, diff_id: &Digest) -> Cow<'_, [String]> {
        match &self.lower {
            Some(_) => vec![format!("{}/layer.tar", diff_id.hex())].into(),
            None => (&self.origins[..]).into(),
        }
    }

    /// The time of the layer's member in an archive, in seconds since 1970; `of_image` is that of
    /// its image.
    #[doc(hidden)]
    pub fn mtime(&self, of_image: i64) -> i64 {
        self.lower.as_ref().map_or(of_image, |lower| lower.mtime)
    }

    /// What the layer is made of, as stated in the image's history: the store paths, the name of
    /// the layer in the base image's archive, or the path of the customisation layer.
    pub fn origins(&self) -> &[String] {
        &self.origins
    }

    /// The layer's place in the image.
    pub fn kind(&self) -> Kind {
        match self.lower {
            Some(_) => Kind::Base,
            None => self.kind_in_own_image(),
        }
    }

    fn kind_in_own_image(&self) -> Kind {
        match &self.source {
            Source::Base(_) => Kind::Base,
            Source::Store(layer) if layer.naming == Naming::Store => Kind::Store,
            Source::Store(_) | Source::Prebuilt(_) | Source::Absent(_) => Kind::Customisation,
        }
    }

    /// The layer in a base image's archive or layout; `None` for other kinds.
    #[doc(hidden)]
    pub fn as_base(&self) -> Option<&BaseLayer> {
        match &self.source {
            Source::Base(layer) => Some(layer),
            _ => None,
        }
    }

    /// The finished tar file; `None` for other kinds.
    #[doc(hidden)]
    pub fn finished_tar(&self) -> Option<&Path> {
        match &self.source {
            Source::Prebuilt(layer) => Some(&layer.tar),
            _ => None,
        }
    }

    /// The store paths whose NAR hashes identify the layer.
    pub(crate) fn store_paths(&self) -> Vec<&str> {
        match &self.source {
            Source::Base(_) => Vec::new(),
            Source::Store(layer) => layer.trees().map(StorePath::as_str).collect(),
            Source::Prebuilt(layer) => vec![&layer.path],
            Source::Absent(path) => vec![path],
        }
    }

    /// The diffID and size, if they are known without reading the layer. A layer that must be
    /// decompressed has an unknown size.
    pub(crate) fn known(&self) -> Option<BlobId> {
        let layer = self.as_base().filter(|layer| !layer.is_unpacked_for_archives())?;
        Some(BlobId { digest: layer.diff_id, size: layer.member.size })
    }

    /// Whether the layer exists on this machine.
    pub(crate) fn is_here(&self) -> bool {
        !matches!(self.source, Source::Absent(_))
    }

    /// Its annotations in manifests.
    #[doc(hidden)]
    pub fn annotations(&self) -> Annotations {
        let Source::Store(layer) = &self.source else { return Annotations::new() };
        annotation::of_store_paths(layer.paths.iter().map(|path| {
            let path = path.as_str();
            path.rsplit('/').next().unwrap_or(path)
        }))
    }

    /// Scans the layer's trees to compute its keys. Listings that fit into the budget are stored,
    /// so that the trees need not be walked again.
    pub(crate) fn scan(
        &self,
        nar_hashes: &NarHashes,
        budget: &Arc<Budget>,
    ) -> Result<Scanned, LayerError> {
        match &self.source {
            Source::Base(layer) => Ok(Scanned {
                key: key::of_base(BaseFact::Checked, layer)?,
                same_hashes: None,
                size: layer.member.size,
                listings: None,
            }),
            Source::Store(layer) => Ok(key::scan_store(layer, nar_hashes, budget)?),
            Source::Prebuilt(layer) => Ok(key::scan_prebuilt(layer)?),
            Source::Absent(path) => Err(LayerError::Absent(path.clone())),
        }
    }

    /// Whether a scan only estimates the size, because the layer must be decompressed.
    pub(crate) fn has_estimated_size(&self) -> bool {
        self.as_base().is_some_and(BaseLayer::is_unpacked_for_archives)
    }

    /// Opens the layer at its first byte. `listings` come from its scan.
    pub(crate) fn open(
        &self,
        listings: Option<Arc<[Listing]>>,
    ) -> Result<LayerStream<'_>, LayerError> {
        Ok(match &self.source {
            Source::Base(layer) if layer.is_unpacked_for_archives() => {
                LayerStream::Plain(Box::new(layer.plain()?))
            }
            Source::Base(layer) => LayerStream::Base(Box::new(layer.stream()?)),
            Source::Store(layer) => LayerStream::Tar(Box::new(TarStream::new(layer, listings))),
            Source::Prebuilt(layer) => LayerStream::File(Some(Content::open(&layer.tar)?)),
            Source::Absent(path) => return Err(LayerError::Absent(path.clone())),
        })
    }

    /// Opens the layer at its first byte. A layer of the base image is not decompressed.
    pub(crate) fn open_as_it_stands(
        &self,
        listings: Option<Arc<[Listing]>>,
    ) -> Result<LayerStream<'_>, LayerError> {
        match &self.source {
            Source::Base(layer) => Ok(LayerStream::Base(Box::new(layer.stream()?))),
            _ => self.open(listings),
        }
    }

    /// The layer's decompressed tar file, as a section of a file where possible, so that it can be
    /// skipped without being read. Such a section must be checked with [`Self::verify`]; any other
    /// stream only returns its last bytes if the digest is right.
    #[doc(hidden)]
    pub fn tar(&self) -> Result<LayerStream<'_>, LayerError> {
        match &self.source {
            Source::Base(layer) => match layer.plain_section() {
                Some(section) => Ok(LayerStream::File(Some(section?))),
                None => Ok(LayerStream::Plain(Box::new(layer.plain()?))),
            },
            _ => self.open(None),
        }
    }

    /// Hashes the file section returned by [`Self::tar`], if it is one, and checks its digest.
    #[doc(hidden)]
    pub fn verify(&self) -> Result<(), LayerError> {
        let is_file = match &self.source {
            Source::Base(layer) => layer.plain_section().is_some(),
            Source::Prebuilt(_) => true,
            Source::Store(_) | Source::Absent(_) => false,
        };
        if !is_file {
            return Ok(());
        }
        let mut reader = LayerReader::new(self.tar()?);
        let (mut hash, mut buffer) = (HashWriter::default(), Vec::new());
        loop {
            buffer.clear();
            reader.fill(&mut buffer, CHUNK)?;
            hash.update(&buffer);
            if buffer.len() < CHUNK {
                return self.check(hash.finish());
            }
        }
    }

    /// The layer's entries. `listings` come from its scan.
    pub(crate) fn unpack(
        &self,
        listings: Option<Arc<[Listing]>>,
    ) -> Result<Unpacked<'_>, LayerError> {
        if let Source::Store(layer) = &self.source {
            return Ok(Unpacked::Trees(Trees::new(layer, listings)));
        }
        Ok(Unpacked::Tar(LayerReader::new(self.open(listings)?)))
    }

    /// Whether the layer's entries are in the store.
    #[doc(hidden)]
    pub fn is_unpacked(&self) -> bool {
        matches!(self.source, Source::Store(_))
    }

    /// Checks a finished layer's digest against its checksum file, or that of a base image's layer
    /// against the base's config.
    pub(crate) fn check(&self, found: Digest) -> Result<(), LayerError> {
        match &self.source {
            Source::Prebuilt(layer) if layer.checksum != found => {
                let source = ChecksumMismatch { expected: layer.checksum, found };
                Err(LayerError::Damaged { path: layer.path.clone(), source })
            }
            Source::Base(layer) if layer.diff_id != found => Err(layer.mismatch(found).into()),
            _ => Ok(()),
        }
    }

    /// A key for the layer that is the same on every machine, as it only depends on the conf.
    /// `None` if any of its paths has no NAR hash.
    pub(crate) fn portable_key(
        &self,
        ownership: &Ownership,
        nar_hashes: &NarHashes,
    ) -> Option<Key> {
        let ownership = self.lower.as_deref().unwrap_or(ownership);
        let kind = match self.kind_in_own_image() {
            Kind::Base => return None,
            Kind::Store => "store",
            // Whether it is finished or plain follows from its content.
            Kind::Customisation => "customisation",
        };
        let paths = self.store_paths().into_iter();
        let mut key = key::portable(kind, ownership, paths, nar_hashes)?;
        if let Source::Store(layer) = &self.source {
            key::add_copied(&mut key, layer);
        }
        Some(key.finish())
    }

    /// A digest of the identities of its trees; `None` if any is missing here.
    #[doc(hidden)]
    pub fn trees(&self) -> Option<Digest> {
        let roots: Vec<PathBuf> = match &self.source {
            Source::Base(_) | Source::Absent(_) => return None,
            Source::Store(layer) => layer.trees().map(|path| layer.store.physical(path)).collect(),
            Source::Prebuilt(layer) => vec![layer.tar.clone()],
        };
        let roots = roots.iter().map(|root| store::identity(root).ok());
        Some(key::of_roots(&roots.collect::<Option<Vec<_>>>()?))
    }

    /// The key of a fact about a layer of the base image; `None` for other layers, or if the
    /// archive cannot be examined.
    pub(crate) fn base_key(&self, fact: BaseFact) -> Option<Key> {
        key::of_base(fact, self.as_base()?).ok()
    }
}
