//! Existing images in any form.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::documents::OS;
use super::{Image, ImageError};
use crate::base::{Base, Choice, parse_document};
use crate::conf::{Conf, Form};
use crate::layer::{Layer, Ownership};
use crate::store::{self, NarHashes, References, Store, StoreError};
use formats::digest::Digest;
use formats::peer_text;
use oci::Reference;

/// The limit for confs that build on each other: engines support 127 layers, and each conf adds at
/// least one.
const MAX_BASES: usize = 127;

/// An existing image: that of a conf, or one in an archive or layout.
#[derive(Debug)]
pub enum Existing {
    /// The image of a conf or of the program that streams it.
    Made(Box<Image>),
    /// A docker-archive, an OCI layout or an OCI archive.
    Stored(Stored),
}

/// An image in an archive or layout.
#[derive(Debug)]
pub struct Stored {
    /// Its layers, lowest first.
    pub layers: Vec<Layer>,
    base: Base,
    /// The store that may also contain its paths.
    store: Store,
}

/// How images are opened.
#[derive(Debug)]
pub(super) struct Search<'a> {
    pub(super) store: &'a Store,
    /// The architecture to choose where there are several, by Go's name.
    pub(super) architecture: &'a str,
    /// The number of confs that led here.
    pub(super) depth: usize,
    /// The diffIDs of layers that a layout may lack.
    pub(super) without: &'a [Digest],
}

impl Existing {
    /// Opens the image `PATH`, or `PATH#NAME` if there are several.
    ///
    /// The path is that of a conf, of the program that streams its image, of a docker-archive, of
    /// an OCI archive, or of the directory of an OCI layout. Without a name, the first image of a
    /// docker-archive is used. `architecture`, by Go's name, chooses among platforms. Store paths
    /// are read below `store_root`, if given.
    ///
    /// # Errors
    ///
    /// If it is none of these, does not have exactly one matching image, or is broken.
    pub fn open(
        name: &str,
        architecture: &str,
        store_root: Option<&Path>,
    ) -> Result<Self, ImageError> {
        let store = Store::new(crate::conf::STORE_DIR, store_root)?;
        let (path, name) = split(name, |path| Ok(PathBuf::from(path)))?;
        Search { store: &store, architecture, depth: 0, without: &[] }.open(&path, name)
    }

    /// Opens the image of an OCI archive or layout that may lack the layers with these diffIDs.
    /// Reading one of them is an error.
    ///
    /// # Errors
    ///
    /// Those of [`Self::open`].
    pub fn open_without(
        path: &Path,
        architecture: &str,
        without: &[Digest],
    ) -> Result<Self, ImageError> {
        let store = Store::new(crate::conf::STORE_DIR, None)?;
        Search { store: &store, architecture, depth: 0, without }.open(path, None)
    }

    /// The layers, lowest first.
    pub fn layers(&self) -> &[Layer] {
        match self {
            Self::Made(image) => image.layers(),
            Self::Stored(stored) => &stored.layers,
        }
    }

    /// The store that its paths are in, or may be in.
    pub(crate) fn store(&self) -> &Store {
        match self {
            Self::Made(image) => &image.store,
            Self::Stored(stored) => &stored.store,
        }
    }

    /// The references of these paths, if confs or Nix's database have them for all.
    pub(crate) fn references<'a>(
        &self,
        paths: impl Iterator<Item = &'a str> + Clone,
    ) -> Option<References> {
        let said = match self {
            Self::Made(image) => image.references(paths.clone()),
            Self::Stored(_) => None,
        };
        said.or_else(|| store::references(self.store(), paths))
    }

    /// The environment variables that images on top of this one inherit.
    pub(super) fn env(&self) -> Vec<String> {
        match self {
            Self::Made(image) => {
                let env = image.config["Env"].as_array().into_iter().flatten();
                env.filter_map(|variable| variable.as_str().map(str::to_owned)).collect()
            }
            Self::Stored(stored) => stored.base.env().map(str::to_owned).collect(),
        }
    }
}

impl Image {
    /// The image of an archive or layout at `path`, optionally under another name. Its config and
    /// layers stay unchanged.
    ///
    /// # Errors
    ///
    /// If neither the archive nor the caller names it, or it is for another system than Linux.
    pub fn of_stored(
        stored: Stored,
        repo_tag: Option<String>,
        path: &Path,
    ) -> Result<Self, ImageError> {
        let wrong = |problem: &str| ImageError::Stored {
            path: path.to_owned(),
            problem: problem.to_owned(),
        };
        let config = std::str::from_utf8(stored.config());
        let config = config.map_err(|_| wrong("has a config that is not UTF-8"))?;
        let parsed = parse_document(config.as_bytes());
        let mut parsed =
            parsed.map_err(|error| wrong(&format!("has an invalid config: {error}")))?;
        let text = |key: &str| parsed[key].as_str().map(str::to_owned);
        let (architecture, created, os) = (text("architecture"), text("created"), text("os"));
        if let Some(os) = os.filter(|os| os != OS) {
            return Err(wrong(&format!("is for {}, not for {OS}", peer_text::plain(&os))));
        }
        let repo_tag = repo_tag.or_else(|| stored.usual_name());
        Ok(Self {
            has_base: true,
            repo_tag: repo_tag.ok_or_else(|| ImageError::NoName(path.to_owned()))?,
            // Only archives written from it have a time.
            ownership: Arc::new(Ownership { mtime: 1, ..Ownership::default() }),
            nar_hashes: NarHashes::new(),
            references: References::new(),
            warnings: Vec::new(),
            architecture: architecture.ok_or_else(|| wrong("names no architecture"))?,
            created: created.unwrap_or_default(),
            config: parsed["config"].take(),
            finished: Some(config.to_owned()),
            store: Arc::new(stored.store),
            layers: stored.layers,
        })
    }
}

impl Stored {
    /// The diffIDs of its layers, from its config.
    pub fn diff_ids(&self) -> Vec<Digest> {
        self.layers.iter().filter_map(Layer::as_base).map(|layer| layer.diff_id).collect()
    }

    /// The config, byte for byte.
    pub fn config(&self) -> &[u8] {
        self.base.config()
    }

    /// Its name in the form of a conf's `repo_tag`. A layout can have full names, and mere tags,
    /// which do not name an image.
    fn usual_name(&self) -> Option<String> {
        if !self.is_layout() {
            return self.names().first().cloned();
        }
        let mut whole = self.names().iter().filter(|name| name.contains(':'));
        whole.find_map(|name| Some(Reference::of_image(name).ok()?.familiar()))
    }

    /// Whether it is in an OCI layout or OCI archive rather than a docker-archive.
    pub fn is_layout(&self) -> bool {
        self.base.is_layout()
    }

    /// Its names and tags in its archive or layout.
    pub fn names(&self) -> &[String] {
        self.base.names()
    }
}

impl Search<'_> {
    /// Opens the base image that a conf names.
    pub(super) fn base(&self, name: &str) -> Result<Existing, ImageError> {
        let (path, name) = split(name, |path| self.store.locate(path, "the base image"))?;
        self.open(&path, name).map_err(|error| match error {
            ImageError::Base(source) => ImageError::FromImage(source),
            error => error,
        })
    }

    fn open(&self, path: &Path, name: Option<&str>) -> Result<Existing, ImageError> {
        let of_conf = |conf: &Path| {
            let made = self.made(conf, name);
            made.map_err(|error| ImageError::InBase {
                path: path.to_owned(),
                source: Box::new(error),
            })
        };
        match Form::of(path) {
            Ok(Form::Conf) => of_conf(path),
            Ok(Form::Program(conf)) => {
                let conf = conf.to_str().unwrap_or_default();
                of_conf(&self.store.locate(conf, "the program's conf")?)
            }
            Ok(Form::Other) | Err(crate::conf::ConfError::Read { .. }) => {
                let choice =
                    Choice { name, architecture: self.architecture, without: self.without };
                let base = Base::open(path, &choice, self.store)?;
                let layers = base.layers.iter().cloned().map(Layer::base).collect();
                Ok(Existing::Stored(Stored { layers, base, store: self.store.clone() }))
            }
            Err(error) => Err(ImageError::Conf(Box::new(error))),
        }
    }

    fn made(&self, path: &Path, name: Option<&str>) -> Result<Existing, ImageError> {
        let mut conf = Conf::load(path).map_err(|error| ImageError::Conf(Box::new(error)))?;
        if self.depth == MAX_BASES {
            return Err(ImageError::TooDeep);
        }
        if let Some(name) = name.filter(|name| conf.repo_tag.as_deref() != Some(name)) {
            return Err(ImageError::OneName(name.to_owned()));
        }
        // A base needs no name.
        conf.repo_tag.get_or_insert_default();
        let image = Image::at_depth(conf, None, self.store.root(), self.depth + 1)?;
        Ok(Existing::Made(Box::new(image)))
    }
}

/// Splits `PATH#NAME`, unless that is the name of an existing file.
fn split(
    text: &str,
    locate: impl Fn(&str) -> Result<PathBuf, StoreError>,
) -> Result<(PathBuf, Option<&str>), StoreError> {
    let whole = locate(text)?;
    match text.rsplit_once('#') {
        Some((path, name)) if !whole.exists() => Ok((locate(path)?, Some(name))),
        _ => Ok((whole, None)),
    }
}
