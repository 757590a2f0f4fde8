//! The documents of docker-archives, merged.

use std::io::Read;

use serde_json::{Map, Value};

use crate::error::MergeError;
use image::base;
use image::members::Member;

const MANIFEST: &str = "manifest.json";
const REPOSITORIES: &str = "repositories";
const INDEX: &str = "index.json";
const MARKER: &str = "oci-layout";
/// The maximum size of a document.
const MAX_DOCUMENT: u64 = 4 << 20;
/// The maximum number of images in all archives; each takes some kilobytes.
const MAX_IMAGES: usize = 10_000;

/// Whether a member is one of the documents that are merged.
pub(super) fn is_document(name: &[u8]) -> bool {
    [MANIFEST, REPOSITORIES, INDEX, MARKER].iter().any(|known| known.as_bytes() == name)
}

/// The documents of all images added so far.
#[derive(Debug, Default)]
pub(super) struct Documents {
    manifest: Vec<Value>,
    repositories: Option<Map<String, Value>>,
    /// The merged index, if the archives are also OCI layouts. `None` as soon as one is not: a
    /// reader that prefers the layout would not see all images.
    index: Option<Vec<Value>>,
    images: usize,
    mtime: Option<i64>,
    current: Current,
}

/// The documents of one image.
#[derive(Debug, Default)]
struct Current {
    image: String,
    manifest: Option<Vec<Value>>,
    repositories: Option<Map<String, Value>>,
    index: Option<Vec<Value>>,
    is_layout: bool,
}

impl Documents {
    /// Begins another image.
    pub(super) fn begin(&mut self, image: &str) {
        self.current = Current { image: image.to_owned(), ..Current::default() };
    }

    /// Reads a document of the current image; if there are two with the same name, the last one
    /// counts.
    pub(super) fn read(
        &mut self,
        name: &[u8],
        member: &Member,
        content: &mut impl Read,
    ) -> Result<(), MergeError> {
        let name = String::from_utf8_lossy(name).into_owned();
        let current = &mut self.current;
        let problem = |problem: String| MergeError::Document {
            image: current.image.clone(),
            member: name.clone(),
            problem,
        };
        if !member.is_file() {
            return Err(problem("is not a file".into()));
        }
        if member.size > MAX_DOCUMENT {
            let size = member.size;
            return Err(problem(format!("has {size} bytes, expected at most {MAX_DOCUMENT}")));
        }
        let mut text = Vec::new();
        let read = content.take(member.size).read_to_end(&mut text);
        read.map_err(|source| MergeError::Archive { image: current.image.clone(), source })?;
        let value = base::parse_document(&text)
            .map_err(|error| problem(format!("is not valid JSON: {error}")))?;
        match (&*name, value) {
            (MANIFEST, Value::Array(images)) => {
                self.mtime.get_or_insert(member.mtime);
                current.manifest = Some(images);
            }
            (MANIFEST, _) => return Err(problem("is not a list of images".into())),
            (REPOSITORIES, Value::Object(names)) => current.repositories = Some(names),
            (REPOSITORIES, _) => return Err(problem("is not an object".into())),
            (INDEX, mut index) => match index["manifests"].take() {
                Value::Array(manifests) => current.index = Some(manifests),
                _ => return Err(problem("has no list of manifests".into())),
            },
            _ => current.is_layout = true,
        }
        Ok(())
    }

    /// Adds the documents of the current image; returns the names of the members they refer to.
    pub(super) fn end(&mut self) -> Result<Vec<String>, MergeError> {
        let Current { image, manifest, repositories, index, is_layout } =
            std::mem::take(&mut self.current);
        let manifest = manifest.ok_or_else(|| MergeError::NoManifest(image.clone()))?;
        let problem = |problem: &str| MergeError::Document {
            image: image.clone(),
            member: MANIFEST.into(),
            problem: problem.into(),
        };
        let mut needed = Vec::new();
        for entry in &manifest {
            let config = entry["Config"].as_str();
            needed.push(config.ok_or_else(|| problem("names no Config"))?.to_owned());
            let layers = entry["Layers"].as_array();
            for layer in layers.ok_or_else(|| problem("has no list of Layers"))? {
                let layer = layer.as_str().ok_or_else(|| problem("has a layer without a name"))?;
                needed.push(layer.to_owned());
            }
        }
        if self.manifest.len() + manifest.len() > MAX_IMAGES {
            return Err(problem("has too many images"));
        }
        self.manifest.extend(manifest);
        if let Some(names) = repositories {
            self.repositories.get_or_insert_default().extend(names);
        }
        let index = index.filter(|_| is_layout);
        self.index = match (self.index.take(), index) {
            (None, index) if self.images == 0 => index,
            (Some(mut all), Some(index)) => {
                all.extend(index);
                Some(all)
            }
            _ => None,
        };
        self.images += 1;
        Ok(needed)
    }

    /// The time of the first image's manifest.
    pub(super) fn mtime(&self) -> i64 {
        self.mtime.unwrap_or(0)
    }

    /// The documents, as `jq` prints them.
    pub(super) fn merged(self) -> Vec<(&'static str, String)> {
        let text = |value: Value| format!("{value:#}\n");
        let mut all = Vec::new();
        if let Some(manifests) = self.index {
            let index = serde_json::json!({"schemaVersion": 2, "manifests": manifests});
            all.push((INDEX, text(index)));
            all.push((MARKER, oci::LAYOUT.to_owned()));
        }
        all.push((MANIFEST, text(self.manifest.into())));
        if let Some(names) = self.repositories {
            all.push((REPOSITORIES, text(names.into())));
        }
        all
    }
}
