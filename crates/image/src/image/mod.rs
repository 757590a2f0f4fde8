//! The image: its layers, in order, and what they are made of. Plain data, made from a conf.

mod documents;
mod existing;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use thiserror::Error;

use crate::base::BaseError;
use crate::cache::Key;
use crate::conf::{Conf, ConfError, LayerOptions, canonical_nar_hash};
use crate::content::ReadError;
use crate::layer::{Layer, LayerError, Naming, Ownership, Prebuilt, StoreLayer};
use crate::store::{self, NarHashes, References, Store, StoreError};
use existing::Search;
pub use existing::{Existing, Stored};
use formats::digest::{Digest, DigestError};

/// An image that can be digested and delivered.
///
/// Making one examines the customisation layer and reads the documents of the base image, if there
/// is one. The contents of layers are only read when a [`Digester`](crate::Digester) or a delivery
/// needs them.
#[derive(Debug)]
pub struct Image {
    /// The store that contains its paths.
    store: Arc<Store>,
    /// Whether it has a base image, whose layers are its lowest ones.
    has_base: bool,
    pub(crate) layers: Vec<Layer>,
    repo_tag: String,
    /// The owner and time of the entries in its store layers.
    ownership: Arc<Ownership>,
    /// The known NAR hashes of store paths.
    pub(crate) nar_hashes: NarHashes,
    /// The references of store paths, as far as the confs state them.
    references: References,
    warnings: Vec<String>,
    architecture: String,
    created: String,
    config: Value,
    /// The whole config, if it exists already.
    finished: Option<String>,
}

/// Why no image can be made of a conf.
#[derive(Debug, Error)]
pub enum ImageError {
    /// A path in the conf is invalid.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An image in an archive or layout cannot be used.
    #[error(transparent)]
    Base(#[from] BaseError),
    /// The base image, which a conf names, cannot be used.
    #[error("the base image cannot be used")]
    FromImage(#[source] BaseError),
    /// The base image is that of a conf that cannot be used.
    #[error("the image `{}` cannot be used", path.display())]
    InBase {
        /// The conf, or the program that streams its image.
        path: PathBuf,
        /// Why.
        source: Box<ImageError>,
    },
    /// A conf cannot be used.
    #[error(transparent)]
    Conf(Box<ConfError>),
    /// Confs build on each other in a circle, or too many of them do.
    #[error("it builds on too many images; does it build on itself?")]
    TooDeep,
    /// A name was given to choose among the images of a conf, which describes only one.
    #[error("it contains a single image, not named `{0}`; leave out `#{0}`")]
    OneName(String),
    /// A file cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A layer cannot be read.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// The customisation layer is invalid.
    #[error("the customisation layer `{path}` {problem}")]
    Customisation {
        /// The path.
        path: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// The customisation layer's checksum file does not contain a digest.
    #[error(
        "the checksum file of the customisation layer `{path}` does not contain a SHA-256 digest; \
         build it again"
    )]
    Checksum {
        /// The layer's path.
        path: String,
        /// Why not.
        source: DigestError,
    },
    /// The image in an archive or layout cannot be used.
    #[error("the image in `{}` {problem}", path.display())]
    Stored {
        /// The archive or layout.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Neither the archive or layout nor the caller names the image.
    #[error("the image in `{}` has no name, and none was given", .0.display())]
    NoName(PathBuf),
    /// Neither the conf nor the caller names the image.
    #[error("the conf has no `repo_tag`, and no other name was given")]
    NoTag,
}

impl Image {
    /// Makes the image that a conf describes, with the conf's name, from this machine's store.
    ///
    /// # Errors
    ///
    /// If the conf has a path that is not a store path, a base image or customisation layer that
    /// cannot be used, or no name for the image.
    pub fn new(conf: Conf) -> Result<Self, ImageError> {
        Self::open(conf, None, None)
    }

    /// Makes the image that a conf describes, under another name or from another store.
    ///
    /// `repo_tag`, such as `me/app:1`, replaces the conf's name, unless it is `None` or empty.
    /// `store_root` is the directory below which store paths are read, so that `/nix/store/x` is
    /// `STORE_ROOT/nix/store/x`; `None` is this machine's root.
    ///
    /// # Errors
    ///
    /// Those of [`Self::new`].
    pub fn open(
        conf: Conf,
        repo_tag: Option<String>,
        store_root: Option<&Path>,
    ) -> Result<Self, ImageError> {
        Self::at_depth(conf, repo_tag, store_root, 0)
    }

    /// Makes the image of a conf on which `depth` other confs build, one on top of the other.
    fn at_depth(
        conf: Conf,
        repo_tag: Option<String>,
        store_root: Option<&Path>,
        depth: usize,
    ) -> Result<Self, ImageError> {
        let store = Arc::new(Store::new(&conf.store_dir, store_root)?);
        let repo_tag = repo_tag.filter(|tag| !tag.is_empty()).or(conf.repo_tag);
        let repo_tag = repo_tag.ok_or(ImageError::NoTag)?;
        let ownership = Arc::new(conf.ownership);
        let mut store_layers = Vec::with_capacity(conf.store_layers.len());
        let mut warnings = conf.warnings;
        warnings.extend(repeated(&conf.store_layers));
        let mut options = conf.layer_options.into_iter().peekable();
        for (number, mut origins) in conf.store_layers.into_iter().enumerate() {
            let options = options.next_if(|options| options.layer == number).unwrap_or_default();
            let copied = options.copy_to_root.clone();
            let layer = store_layer(&store, &origins, options, &ownership)?;
            origins.extend(copied);
            store_layers.push(Layer::store(layer, origins));
        }
        let has_hash = conf.nar_hashes.contains_key(&conf.customisation_layer);
        let customisation = customisation(&store, conf.customisation_layer, &ownership, has_hash)?;
        let architecture = &*conf.architecture;
        let search = Search { store: &store, architecture, depth, without: &[] };
        let base = conf.from_image.as_ref().map(|name| search.base(name)).transpose()?;
        let env = base.as_ref().map(Existing::env);
        let (mut layers, mut nar_hashes, mut references) = match base {
            Some(Existing::Made(image)) => image.into_lower(),
            Some(Existing::Stored(stored)) => (stored.layers, NarHashes::new(), References::new()),
            None => (Vec::new(), NarHashes::new(), References::new()),
        };
        layers.extend(store_layers);
        layers.push(customisation);
        nar_hashes.extend(conf.nar_hashes);
        references.extend(conf.references);
        Ok(Self {
            layers,
            has_base: env.is_some(),
            config: documents::overlay(env, conf.config),
            store,
            repo_tag,
            ownership,
            nar_hashes,
            references,
            warnings,
            architecture: conf.architecture,
            created: conf.created.isoformat(),
            finished: None,
        })
    }

    /// Its layers, for use as those of a base image, and the NAR hashes and references of their
    /// paths.
    fn into_lower(self) -> (Vec<Layer>, NarHashes, References) {
        let lower = |layer: Layer| layer.into_lower(&self.ownership);
        (self.layers.into_iter().map(lower).collect(), self.nar_hashes, self.references)
    }
}

impl Image {
    /// All layers, lowest first: those of the base image, those with store paths, and the
    /// customisation layer.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Whether the image has a base image, whose layers are its lowest ones.
    pub fn has_base(&self) -> bool {
        self.has_base
    }

    /// The name and, if there is one, the tag, as written in the conf or by the caller.
    pub fn repo_tag(&self) -> &str {
        &self.repo_tag
    }

    /// Replaces the name and tag.
    pub fn set_repo_tag(&mut self, repo_tag: String) {
        self.repo_tag = repo_tag;
    }

    /// The time of the members in archives, in seconds since 1970.
    pub fn mtime(&self) -> i64 {
        self.ownership.mtime
    }

    /// The creation time in the image's config.
    pub fn created(&self) -> &str {
        &self.created
    }

    /// The directory from which the store's paths are read.
    #[doc(hidden)]
    pub fn physical_store(&self) -> std::path::PathBuf {
        self.store.physical_dir()
    }

    /// Warnings about the conf, one sentence each.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The references of these paths, if the confs state them for all.
    pub(crate) fn references<'a>(
        &self,
        mut paths: impl Iterator<Item = &'a str>,
    ) -> Option<References> {
        paths.all(|path| self.references.contains_key(path)).then(|| self.references.clone())
    }

    /// Looks up in Nix's database the NAR hashes that the conf lacks.
    ///
    /// With the NAR hashes of all its paths, a layer can be found in a cache or registry that
    /// another machine filled. If the database cannot be read, nothing changes.
    pub fn complete_nar_hashes(&mut self) {
        let here = self.layers.iter().filter(|layer| layer.is_here());
        let paths = here.flat_map(Layer::store_paths);
        let unknown = paths.filter(|path| !self.nar_hashes.contains_key(*path));
        let hashes = store::nar_hashes(&self.store, unknown);
        let canonical = |(path, hash): (String, String)| Some((path, canonical_nar_hash(&hash)?));
        self.nar_hashes.extend(hashes.into_iter().filter_map(canonical));
    }

    /// A key for the layer that is the same on every machine, as it only depends on the conf.
    /// `None` if the NAR hash of any of the layer's paths is unknown.
    #[doc(hidden)]
    pub fn portable_key(&self, layer: usize) -> Option<Key> {
        self.layers[layer].portable_key(&self.ownership, &self.nar_hashes)
    }
}

/// A layer of store paths, with its options.
fn store_layer(
    store: &Arc<Store>,
    paths: &[String],
    options: LayerOptions,
    ownership: &Arc<Ownership>,
) -> Result<StoreLayer, StoreError> {
    Ok(StoreLayer {
        paths: store.paths(paths)?,
        copied: store.paths(&options.copy_to_root)?,
        permissions: options.permissions,
        store: Arc::clone(store),
        naming: Naming::Store,
        ownership: Arc::clone(ownership),
    })
}

/// Checks a conf's `layer_options` for these store layers: whether the trees to be copied into the
/// root can be merged, and each of the permissions applies to something. The store is `store_dir`,
/// and is read below `store_root`, as in [`Image::open`].
///
/// # Errors
///
/// If that is not so, a value has the wrong type, or a path in the options cannot be read.
pub fn check_layer_options(
    layers: &[Vec<String>],
    options: Value,
    store_dir: &str,
    store_root: Option<&Path>,
) -> Result<(), ImageError> {
    let store = Arc::new(Store::new(store_dir, store_root)?);
    let options = LayerOptions::parse(options, layers.len());
    for options in options.map_err(|error| ImageError::Conf(Box::new(error)))? {
        let paths = &layers[options.layer];
        store_layer(&store, paths, options, &Arc::default())?.check()?;
    }
    Ok(())
}

/// A warning for each path that is listed more than once. Like nixpkgs, it is written each time.
fn repeated(layers: &[Vec<String>]) -> Vec<String> {
    let mut seen = HashSet::new();
    let mut warned = HashSet::new();
    let paths = layers.iter().flatten();
    paths
        .filter(|path| !seen.insert(*path) && warned.insert(*path))
        .map(|path| format!("`{path}` is listed more than once and will be written each time"))
        .collect()
}

/// The customisation layer: a finished tar file in current confs, a plain tree in those of the
/// first generation.
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
            let layer = StoreLayer {
                paths: vec![store.path(&path)?],
                copied: Vec::new(),
                permissions: Vec::new(),
                store: Arc::clone(store),
                naming: Naming::Root,
                ownership: Arc::clone(ownership),
            };
            Layer::store(layer, vec![path.clone()])
        }
        (true, false) => return Err(problem("has a layer.tar, but no checksum; build it again")),
        (false, true) => return Err(problem("has a checksum, but no layer.tar; build it again")),
    };
    Ok(layer)
}
