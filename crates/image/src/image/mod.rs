//! The image: which layers, in which order, made of what. Plain data, made from a conf.

mod documents;

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use thiserror::Error;

use crate::base::{Base, BaseError};
use crate::cache::Key;
use crate::conf::{Conf, canonical_nar_hash};
use crate::content::ReadError;
use crate::layer::{Layer, LayerError, Naming, Ownership, Prebuilt, StoreLayer};
use crate::store::{self, NarHashes, Store, StoreError};
use formats::digest::{Digest, DigestError};

/// An image, ready to be digested and written.
#[derive(Debug)]
pub struct Image {
    /// The store that its paths are in.
    pub store: Arc<Store>,
    /// The base image, if it has one.
    pub base: Option<Base>,
    /// All its layers, lowest first, those of the base among them.
    pub layers: Vec<Layer>,
    /// Name and tag.
    pub repo_tag: String,
    /// Time of the archive's members, in seconds since 1970.
    pub mtime: i64,
    /// Owner and time of the entries in its store layers.
    pub ownership: Arc<Ownership>,
    /// The NAR hash of each store path that the conf gives one for.
    pub nar_hashes: NarHashes,
    /// What is odd and yet no error, a sentence each.
    pub warnings: Vec<String>,
    architecture: String,
    created: String,
    config: Value,
}

/// Why a conf makes no image.
#[derive(Debug, Error)]
pub enum ImageError {
    /// A path of the conf is not as it must be.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The base image cannot be used.
    #[error(transparent)]
    Base(#[from] BaseError),
    /// A file cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A layer cannot be had.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// The customisation layer is not what it should be.
    #[error("the customisation layer `{path}` {problem}")]
    Customisation {
        /// The path.
        path: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// The customisation layer's checksum file holds something else.
    #[error(
        "the checksum file of the customisation layer `{path}` holds no SHA-256; build it again"
    )]
    Checksum {
        /// The layer's path.
        path: String,
        /// What it holds.
        source: DigestError,
    },
    /// Neither the conf nor the caller names the image.
    #[error("the conf has no `repo_tag`, and the image is given no other name")]
    NoTag,
}

impl Image {
    /// Makes the image that a conf describes. `repo_tag`, unless it is empty, takes the place of
    /// the conf's; the store is read below `store_root`, if there is one.
    pub fn new(
        conf: Conf,
        repo_tag: Option<String>,
        store_root: Option<&Path>,
    ) -> Result<Self, ImageError> {
        let store = Arc::new(Store::new(&conf.store_dir, store_root)?);
        let repo_tag = repo_tag.filter(|tag| !tag.is_empty()).or(conf.repo_tag);
        let repo_tag = repo_tag.ok_or(ImageError::NoTag)?;
        let ownership = Arc::new(conf.ownership);
        let mut store_layers = Vec::with_capacity(conf.store_layers.len());
        for origins in conf.store_layers {
            let paths = origins.iter().map(|path| store.path(path)).collect::<Result<_, _>>()?;
            let (store, ownership) = (Arc::clone(&store), Arc::clone(&ownership));
            let layer = StoreLayer { store, paths, naming: Naming::Store, ownership };
            store_layers.push(Layer::store(layer, origins));
        }
        let mut warnings = conf.warnings;
        warnings.extend(repeated(&store_layers));
        let has_hash = conf.nar_hashes.contains_key(&conf.customisation_layer);
        let customisation = customisation(&store, conf.customisation_layer, &ownership, has_hash)?;
        let base = match &conf.from_image {
            Some(path) => Some(Base::open(&store.locate(path, "the base image")?)?),
            None => None,
        };
        let base_layers = base.iter().flat_map(|base| &base.layers).cloned().map(Layer::base);
        Ok(Self {
            layers: base_layers.chain(store_layers).chain([customisation]).collect(),
            config: documents::overlay(base.as_ref(), conf.config),
            base,
            store,
            repo_tag,
            mtime: ownership.mtime,
            ownership,
            nar_hashes: conf.nar_hashes,
            warnings,
            architecture: conf.architecture,
            created: conf.created.isoformat(),
        })
    }
}

impl Image {
    /// Adds the NAR hashes of paths for which the conf has none and Nix's database does.
    pub fn complete_nar_hashes(&mut self) {
        let here = self.layers.iter().filter(|layer| layer.is_here());
        let paths = here.flat_map(Layer::store_paths);
        let unknown = paths.filter(|path| !self.nar_hashes.contains_key(*path));
        let hashes = store::nar_hashes(&self.store, unknown);
        let canonical = |(path, hash): (String, String)| Some((path, canonical_nar_hash(&hash)?));
        self.nar_hashes.extend(hashes.into_iter().filter_map(canonical));
    }

    /// The key that a layer has on every machine, made of nothing but what the conf says; `None`
    /// without the NAR hashes of all its paths.
    pub fn portable_key(&self, layer: usize) -> Option<Key> {
        self.layers[layer].portable_key(&self.ownership, &self.nar_hashes)
    }
}

/// A warning for each path that is listed more than once; each time it is written, as by nixpkgs.
fn repeated(layers: &[Layer]) -> Vec<String> {
    let mut seen = HashSet::new();
    let mut warned = HashSet::new();
    let paths = layers.iter().flat_map(Layer::origins);
    paths
        .filter(|path| !seen.insert(*path) && warned.insert(*path))
        .map(|path| format!("`{path}` is listed more than once and will be written each time"))
        .collect()
}

/// The customisation layer: prebuilt in today's confs, a plain tree in the original's.
fn customisation(
    store: &Arc<Store>,
    path: String,
    ownership: &Arc<Ownership>,
    may_be_absent: bool,
) -> Result<Layer, ImageError> {
    const WHAT: &str = "the customisation layer";
    let directory = store.locate(&path, WHAT)?;
    let problem = |problem| ImageError::Customisation { path: path.clone(), problem };
    match directory.metadata() {
        Ok(metadata) if metadata.is_dir() => {}
        Ok(_) => return Err(problem("is not a directory")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            if may_be_absent {
                return Ok(Layer::absent(path));
            }
            return Err(LayerError::Absent(path).into());
        }
        Err(source) => {
            return Err(ReadError::Io { action: "open", path: directory, source }.into());
        }
    }
    let (tar, checksum) = (directory.join("layer.tar"), directory.join("checksum"));
    let layer = match (tar.symlink_metadata().is_ok(), checksum.symlink_metadata().is_ok()) {
        (true, true) => {
            let read = |file| store.locate(&format!("{path}/{file}"), WHAT);
            let (tar, checksum) = (read("layer.tar")?, read("checksum")?);
            let checksum = std::fs::read(&checksum).map_err(|source| ReadError::Io {
                action: "read",
                path: checksum,
                source,
            })?;
            let checksum = Digest::from_hex(String::from_utf8_lossy(&checksum).trim());
            let checksum =
                checksum.map_err(|source| ImageError::Checksum { path: path.clone(), source })?;
            Layer::prebuilt(Prebuilt { path: path.clone(), tar, checksum })
        }
        (false, false) => {
            let (paths, store) = (vec![store.path(&path)?], Arc::clone(store));
            let ownership = Arc::clone(ownership);
            let layer = StoreLayer { store, paths, naming: Naming::Root, ownership };
            Layer::store(layer, vec![path.clone()])
        }
        (true, false) => return Err(problem("has a layer.tar, but no checksum; build it again")),
        (false, true) => return Err(problem("has a checksum, but no layer.tar; build it again")),
    };
    Ok(layer)
}
