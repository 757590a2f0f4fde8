//! Finds the image that a name refers to.

use std::io::Read as _;
use std::sync::Arc;

use serde_json::Value;

use super::PullError;
use super::legacy::config_fields;
use formats::digest::Digest;
use formats::peer_text;
use oci::registry::{self, Client, Document, Repository};
use oci::{
    Descriptor, DocumentError, Flavor, Index, MAX_DOCUMENT, Manifest, Reference, WantedPlatform,
    annotation,
};

/// How many characters of a registry's text are shown.
const MAX_SHOWN: usize = 100;

/// An image in a registry, and its documents.
#[derive(Debug)]
pub struct Source {
    /// The repository with its blobs.
    pub(super) repository: Repository,
    /// The name by which it was found.
    pub(super) reference: Reference,
    /// The digest of what the name refers to: an index, or the manifest.
    pub(super) digest: Digest,
    /// The manifest, exactly as in the registry.
    pub(super) manifest_bytes: Vec<u8>,
    pub(super) manifest: Manifest,
    /// The config, exactly as in the registry.
    pub(super) config: Vec<u8>,
    /// The digests of the layers' tar files.
    pub(super) diff_ids: Vec<Digest>,
}

impl Source {
    /// Finds the image with this name for this platform.
    ///
    /// # Errors
    ///
    /// If the registry cannot be read or has no such image, or if what it has is not an image or
    /// contradicts itself.
    pub fn find(
        reference: &Reference,
        platform: &WantedPlatform,
        options: &registry::Options,
    ) -> Result<Self, PullError> {
        let repository = open(reference, options)?;
        let finding = Finding { repository, reference };
        let found = finding.document(&reference.manifest())?;
        let digest = found.digest;
        let document = match finding.kind(&found)? {
            Kind::Manifest => found,
            Kind::Index => finding.choose(&found, platform)?,
        };
        finding.image(digest, document)
    }

    /// The digest of what the name refers to: an index, or else the image's manifest.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The digest of the image's manifest, which identifies it independently of the platform.
    pub fn manifest_digest(&self) -> Digest {
        Digest::of(&self.manifest_bytes)
    }

    /// The image's ID, which is the digest of its config.
    pub fn image_id(&self) -> Digest {
        self.manifest.config.digest
    }

    /// The size of all layers' blobs; a repeated layer counts each time.
    pub fn size(&self) -> u64 {
        self.manifest.layers.iter().map(|layer| layer.size).fold(0, u64::saturating_add)
    }

    /// The store paths of each layer that has some, lowest layer first, according to the documents;
    /// no layer is read. `None` if no layer's paths are known.
    ///
    /// dockerTools puts them into the history in the config, formatted as a Python list. If a
    /// registry or a tool rewrote the history, the annotations that nix-image gives its layers are
    /// used.
    pub fn store_layers(&self) -> Option<Vec<Vec<String>>> {
        let config: Value = serde_json::from_slice(&self.config).ok()?;
        let history = config["history"].as_array().map_or(&[][..], Vec::as_slice);
        let comments = history.iter().filter_map(|entry| listed(entry["comment"].as_str()?));
        let layers = self.manifest.layers.iter();
        let annotated = layers.filter_map(|layer| layer.annotations.get(annotation::STORE_PATHS));
        let found = [comments.collect::<Vec<_>>(), annotated.filter_map(|it| named(it)).collect()];
        found.into_iter().find(|layers| !layers.is_empty())
    }
}

/// The store paths that the history lists for a layer. Customisation layers are skipped, as the
/// image has the content of their path and not the path itself.
fn listed(comment: &str) -> Option<Vec<String>> {
    let list = comment.strip_prefix("store paths: [")?.strip_suffix(']')?;
    let path = |path: &str| {
        let path = path.strip_prefix('\'')?.strip_suffix('\'')?;
        let (store, name) = path.rsplit_once('/')?;
        let is_store = store.starts_with('/') && is_printable(path);
        (is_store && !name.ends_with("-customisation-layer")).then(|| path.to_owned())
    };
    list.split(", ").map(path).collect()
}

/// The paths of an annotated layer, unless there were too many to list them all.
fn named(names: &str) -> Option<Vec<String>> {
    let path = |name: &str| {
        let is_name = is_printable(name) && !name.contains('/') && !name.starts_with('+');
        is_name.then(|| format!("/nix/store/{name}"))
    };
    names.split(' ').map(path).collect()
}

fn is_printable(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The repository of a reference, for reading.
pub(super) fn open(
    reference: &Reference,
    options: &registry::Options,
) -> Result<Repository, PullError> {
    let client = Arc::new(Client::new(reference, false, &[], options)?);
    Ok(Repository::new(&client, &reference.resolved().repository))
}

/// The kind of a document.
enum Kind {
    Manifest,
    Index,
}

/// A search for an image.
struct Finding<'a> {
    repository: Repository,
    reference: &'a Reference,
}

impl Finding<'_> {
    fn document(&self, name: &str) -> Result<Document, PullError> {
        let document = self.repository.manifest(name)?;
        document.ok_or_else(|| PullError::Missing(self.reference.to_string()))
    }

    /// The kind of a document, according to itself, to the registry, or to its content.
    fn kind(&self, document: &Document) -> Result<Kind, PullError> {
        let value: Value = serde_json::from_slice(&document.bytes)
            .map_err(|error| self.invalid("manifest", error.into()))?;
        let announced = [value["mediaType"].as_str(), document.media_type.as_deref()];
        for media_type in announced.into_iter().flatten() {
            if Flavor::of_index(media_type).is_some() {
                return Ok(Kind::Index);
            }
            if Flavor::of_manifest(media_type).is_some() {
                return Ok(Kind::Manifest);
            }
        }
        if value["schemaVersion"].as_u64() == Some(1) {
            return Err(PullError::Schema1(self.reference.to_string()));
        }
        Ok(if value["manifests"].is_array() { Kind::Index } else { Kind::Manifest })
    }

    /// The manifest for a platform in an index.
    fn choose(&self, index: &Document, wanted: &WantedPlatform) -> Result<Document, PullError> {
        let invalid = |error| self.invalid("index", error);
        let index = Index::parse(&index.bytes).map_err(invalid)?;
        let chosen = wanted.choose(&index).map_err(invalid)?;
        let chosen = chosen.ok_or_else(|| PullError::NoPlatform {
            image: self.reference.to_string(),
            wanted: wanted.to_string(),
            found: WantedPlatform::all(&index).iter().map(|text| shown(text)).collect(),
        })?;
        let manifest = self.document(&chosen.digest.to_string())?;
        match self.kind(&manifest)? {
            Kind::Manifest => Ok(manifest),
            Kind::Index => Err(PullError::NestedIndex(self.reference.to_string())),
        }
    }

    /// The image with this manifest.
    fn image(self, digest: Digest, document: Document) -> Result<Source, PullError> {
        let manifest = Manifest::parse(&document.bytes, document.media_type.as_deref());
        let manifest = manifest.map_err(|error| self.invalid("manifest", error))?;
        let media_type = &manifest.config.media_type;
        let is_config = [Flavor::Oci, Flavor::Docker].iter().any(|of| of.config() == media_type);
        if manifest.flavor == Flavor::Oci && !is_config {
            let (image, media_type) = (self.reference.to_string(), shown(media_type));
            return Err(PullError::Artifact { image, media_type });
        }
        let config = self.config(&manifest.config)?;
        let diff_ids = self.diff_ids(&config, &manifest)?;
        Ok(Source {
            repository: self.repository,
            reference: self.reference.clone(),
            digest,
            manifest_bytes: document.bytes,
            manifest,
            config,
            diff_ids,
        })
    }

    fn config(&self, descriptor: &Descriptor) -> Result<Vec<u8>, PullError> {
        let Descriptor { digest, size, .. } = *descriptor;
        if size > MAX_DOCUMENT {
            return Err(self.invalid("config", DocumentError::TooLarge(size)));
        }
        let mut bytes = Vec::new();
        let mut blob = self.repository.download(digest, size)?;
        blob.read_to_end(&mut bytes).map_err(PullError::reading)?;
        let found = Digest::of(&bytes);
        if found != digest {
            return Err(PullError::WrongBlob { found });
        }
        Ok(bytes)
    }

    fn diff_ids(&self, config: &[u8], manifest: &Manifest) -> Result<Vec<Digest>, PullError> {
        let image = || self.reference.to_string();
        let invalid = |source| PullError::Config { image: image(), source };
        let fields = config_fields(config).map_err(invalid)?;
        let rootfs = fields.get("rootfs").map(|text| serde_json::from_str::<Value>(text.get()));
        let rootfs = rootfs.transpose().map_err(invalid)?.unwrap_or_default();
        let digest = |value: &Value| value.as_str()?.parse().ok();
        let listed = rootfs["diff_ids"].as_array().map_or(&[][..], Vec::as_slice);
        let diff_ids: Vec<Digest> = listed.iter().filter_map(digest).collect();
        let layers = manifest.layers.len();
        if diff_ids.len() != layers {
            return Err(PullError::Unequal { image: image(), layers, diff_ids: diff_ids.len() });
        }
        Ok(diff_ids)
    }

    fn invalid(&self, what: &'static str, source: DocumentError) -> PullError {
        PullError::Document { what, image: self.reference.to_string(), source: source.into() }
    }
}

fn shown(text: &str) -> String {
    peer_text::start(text, MAX_SHOWN)
}
