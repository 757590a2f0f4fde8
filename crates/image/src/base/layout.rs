//! OCI layouts, as directories and in archives.
//!
//! The size of every document and blob is compared with its descriptor. Documents are hashed here,
//! layers when they are read.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::archive::{Found, Index, MAX_DOCUMENT};
use super::choice::Choice;
use super::codec::Codec;
use super::document::{self, Broken};
use super::{Archive, Base, BaseError, BaseLayer};
use crate::members::Member;
use crate::store::Store;
use formats::digest::Digest;
use formats::peer_text;
use formats::tar::REGULAR;
use oci::annotation::{CONTAINERD_NAME, REF_NAME};
use oci::{Compression, Descriptor, Flavor, Platform};

/// The directory of the blobs.
const BLOBS: &str = "blobs/sha256";
const INDEX: &str = "index.json";
/// The limit for nested indexes; more than two levels are hardly ever written.
const MAX_DEPTH: usize = 4;
/// The limit for all indexes together.
const MAX_INDEXES: usize = 1000;
/// The limit for manifests to choose from.
const MAX_MANIFESTS: usize = 10_000;
/// Mode of the archive members made from layers.
const MODE: u32 = 0o644;

/// Access to a layout's files.
pub(super) trait Files {
    /// Reads up to `limit` bytes of a file, if it exists.
    fn read(&self, name: &str, limit: u64) -> io::Result<Option<Vec<u8>>>;

    /// Where a file's content is, if it exists.
    fn find(&self, name: &str) -> io::Result<Option<Place>>;
}

/// Where a blob is.
pub(super) struct Place {
    archive: Arc<Archive>,
    offset: u64,
    size: u64,
    codec: Codec,
}

impl Place {
    /// The place of a missing blob: beyond the end of every file, so that reading it fails.
    fn absent(path: &Path, size: u64, compression: Compression) -> Self {
        let codec = match compression {
            Compression::None => Codec::None,
            Compression::Gzip => Codec::Gzip,
            Compression::Zstd => Codec::Zstd,
        };
        Self { archive: Archive::new(path, Codec::None), offset: u64::MAX, size, codec }
    }
}

/// A layout in a directory.
pub(super) struct Directory<'a> {
    pub(super) path: &'a Path,
    pub(super) store: &'a Store,
}

/// A layout in an archive.
pub(super) struct InArchive {
    archive: Arc<Archive>,
    index: Index,
}

/// A manifest of a layout, with its names.
struct Candidate {
    descriptor: Descriptor,
    /// The entry of the layout's own index that it belongs to.
    entry: usize,
    names: Vec<String>,
}

/// Reads the manifest and config of one image.
pub(super) fn open(
    files: &impl Files,
    path: &Path,
    choice: &Choice<'_>,
) -> Result<Base, BaseError> {
    let layout = Layout { files, path };
    let candidate = layout.choose(choice)?;
    let (manifest, _) = layout.document(&candidate.descriptor, "the manifest")?;
    let broken = Broken(path);
    let part = |value: &Value| {
        Descriptor::parse(value).map_err(|error| {
            broken.document(format!("in the manifest {}, {error}", candidate.descriptor.digest))
        })
    };
    let (config, text) = layout.document(&part(&manifest["config"])?, "the config")?;
    let layers = manifest["layers"].as_array().map_or(&[][..], Vec::as_slice);
    let diff_ids = document::diff_ids(&broken, &config, layers.len())?;
    let layers = layers.iter().zip(diff_ids);
    Ok(Base {
        layers: layers
            .map(|(layer, diff_id)| {
                let without = choice.without.contains(&diff_id);
                layout.layer(&part(layer)?, diff_id, without)
            })
            .collect::<Result<_, _>>()?,
        env: document::env(&broken, &config)?,
        config: text,
        names: candidate.names,
        is_layout: true,
    })
}

struct Layout<'a, F> {
    files: &'a F,
    path: &'a Path,
}

impl<F: Files> Layout<'_, F> {
    /// The chosen image: the only one for the platform, or the one with the requested name.
    fn choose(&self, choice: &Choice<'_>) -> Result<Candidate, BaseError> {
        let path = || self.path.to_owned();
        let index = self.files.read(INDEX, MAX_DOCUMENT).map_err(|error| self.unreadable(error))?;
        let index = index.ok_or_else(|| BaseError::NoManifest(path()))?;
        let index = document::parse_named(&index, self.path, INDEX)?;
        let mut all = Vec::new();
        let mut left = MAX_INDEXES;
        for (entry, value) in entries(&index).iter().enumerate() {
            self.expand(value, entry, &names_of(value), MAX_DEPTH, &mut left, &mut all)?;
        }
        if let Some(wanted) = choice.name {
            let names = |candidate: &Candidate| candidate.names.clone();
            let wanted_entry = find_entry(&all, choice).map_err(|()| BaseError::Name {
                path: path(),
                wanted: wanted.to_owned(),
                found: unique(all.iter().flat_map(names)),
            })?;
            all.retain(|candidate| candidate.entry == wanted_entry);
        }
        let (mut fitting, others): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|it| choice.takes(it.descriptor.platform.as_ref()));
        // Tools write one entry for each name of an image.
        fitting.dedup_by(|later, first| {
            let same = later.descriptor.digest == first.descriptor.digest;
            if same {
                first.names.append(&mut later.names);
            }
            // The first of an architecture's variants.
            same || later.entry == first.entry
        });
        if fitting.len() > 1 {
            let found = unique(fitting.iter().flat_map(|it| it.names.clone()));
            return Err(BaseError::Several { path: path(), count: fitting.len(), found });
        }
        fitting.pop().ok_or_else(|| BaseError::Platform {
            path: path(),
            wanted: choice.platform(),
            found: unique(others.iter().filter_map(|it| platform(&it.descriptor))),
        })
    }

    /// Adds the manifest that an index entry refers to, or all manifests of a nested index.
    fn expand(
        &self,
        value: &Value,
        entry: usize,
        names: &[String],
        depth: usize,
        left: &mut usize,
        all: &mut Vec<Candidate>,
    ) -> Result<(), BaseError> {
        // Skip other things, such as signatures with another kind of digest.
        let Ok(descriptor) = Descriptor::parse(value) else { return Ok(()) };
        if Flavor::of_manifest(&descriptor.media_type).is_some() {
            if all.len() == MAX_MANIFESTS {
                let problem = format!("its index has more than {MAX_MANIFESTS} manifests");
                return Err(Broken(self.path).document(problem));
            }
            all.push(Candidate { descriptor, entry, names: names.to_vec() });
            return Ok(());
        }
        if Flavor::of_index(&descriptor.media_type).is_none() {
            return Ok(());
        }
        if depth == 0 || *left == 0 {
            let problem = format!(
                "it has indexes within indexes, {MAX_DEPTH} levels deep, or more than \
                 {MAX_INDEXES} indexes"
            );
            return Err(Broken(self.path).document(problem));
        }
        *left -= 1;
        let (index, _) = self.document(&descriptor, "the index")?;
        for value in entries(&index) {
            self.expand(value, entry, names, depth - 1, left, all)?;
        }
        Ok(())
    }

    /// The document's relevant parts, and its bytes.
    fn document(&self, descriptor: &Descriptor, what: &str) -> Result<(Value, Vec<u8>), BaseError> {
        let Descriptor { digest, size, .. } = descriptor;
        let bad = |problem: String| self.blob(*digest, format!("of {what} {problem}"));
        if *size > MAX_DOCUMENT {
            return Err(bad(format!("has {size} bytes; a document has {MAX_DOCUMENT} at most")));
        }
        let text = self.files.read(&blob_name(*digest), *size + 1);
        let text = text.map_err(|error| self.unreadable(error))?;
        let text = text.ok_or_else(|| bad("is missing".into()))?;
        if text.len() as u64 != *size {
            return Err(bad(format!("is not {size} bytes long")));
        }
        let found = Digest::of(&text);
        if found != *digest {
            return Err(bad(format!("has the digest {found}; fetch or build the base again")));
        }
        Ok((document::parse_named(&text, self.path, &blob_name(*digest))?, text))
    }

    /// A layer. With `without`, its blob may be missing.
    fn layer(
        &self,
        descriptor: &Descriptor,
        diff_id: Digest,
        without: bool,
    ) -> Result<BaseLayer, BaseError> {
        let Descriptor { digest, size, .. } = descriptor;
        let bad = |problem: String| self.blob(*digest, format!("of a layer {problem}"));
        let media_type = peer_text::start(&descriptor.media_type, 80);
        if media_type.contains("nondistributable") || media_type.contains(".foreign.") {
            return Err(bad(format!(
                "is a foreign layer (`{media_type}`), which must be fetched from elsewhere; \
                 use a base image without such layers"
            )));
        }
        let compression = Compression::of_layer(&descriptor.media_type).ok_or_else(|| {
            bad(format!("has the media type `{media_type}`, which is not a known layer type"))
        })?;
        let place = self.files.find(&blob_name(*digest)).map_err(|error| self.unreadable(error))?;
        let absent = || Place::absent(self.path, *size, compression);
        let place = place.or_else(|| without.then(absent));
        let place = place.ok_or_else(|| bad("is missing".into()))?;
        if place.size != *size {
            let found = place.size;
            return Err(bad(format!("has {found} bytes, the manifest says {size}")));
        }
        if place.codec.compression() != Some(compression) {
            return Err(bad(format!("is not compressed as its media type `{media_type}` says")));
        }
        if compression == Compression::None && *digest != diff_id {
            return Err(bad(format!("is not compressed, but the config says {diff_id}")));
        }
        let Place { archive, offset, size, codec } = place;
        let member = Arc::new(Member {
            name: format!("{}/layer.tar", diff_id.hex()).into_bytes(),
            typeflag: REGULAR,
            mode: MODE,
            size,
            offset,
            ..Member::default()
        });
        Ok(BaseLayer { archive, diff_id, member, blob: Some(*digest), codec })
    }

    fn blob(&self, digest: Digest, problem: String) -> BaseError {
        BaseError::Blob { path: self.path.to_owned(), digest, problem }
    }

    fn unreadable(&self, source: io::Error) -> BaseError {
        BaseError::Read { path: self.path.to_owned(), source }
    }
}

impl Directory<'_> {
    /// The real path of a file, which may be a link to a store path.
    fn locate(&self, name: &str) -> io::Result<Option<PathBuf>> {
        let path = self.path.join(name);
        let path = match (self.store.root(), fs::read_link(&path)) {
            (Some(_), Ok(target)) if target.is_absolute() => {
                let target = target.to_str().unwrap_or_default();
                self.store.locate(target, "a link in a layout").map_err(io::Error::other)?
            }
            _ => path,
        };
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() => Ok(Some(path)),
            Ok(_) => Err(io::Error::other(format!("`{name}` in it is not a file"))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Files for Directory<'_> {
    fn read(&self, name: &str, limit: u64) -> io::Result<Option<Vec<u8>>> {
        let Some(path) = self.locate(name)? else { return Ok(None) };
        let mut bytes = Vec::new();
        File::open(path)?.take(limit).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    fn find(&self, name: &str) -> io::Result<Option<Place>> {
        let Some(path) = self.locate(name)? else { return Ok(None) };
        let codec = Codec::detect(&path)?;
        let size = fs::metadata(&path)?.len();
        let archive = Archive::new(&path, Codec::None);
        Ok(Some(Place { archive, offset: 0, size, codec }))
    }
}

impl InArchive {
    pub(super) fn new(path: &Path, codec: Codec, index: Index) -> Self {
        Self { archive: Archive::new(path, codec), index }
    }

    fn member(&self, name: &str) -> io::Result<Option<&Found>> {
        // `tar` called with `.` prefixes names with `./`.
        let dotted = || self.index.find(format!("./{name}").as_bytes());
        let found = self.index.find(name.as_bytes()).or_else(dotted);
        match found {
            Some(found) if !found.member.is_file() => {
                Err(io::Error::other(format!("`{name}` in it is not a file")))
            }
            found => Ok(found),
        }
    }
}

impl Files for InArchive {
    fn read(&self, name: &str, limit: u64) -> io::Result<Option<Vec<u8>>> {
        let Some(found) = self.member(name)? else { return Ok(None) };
        let (path, codec) = (self.archive.path(), self.archive.codec);
        let mut text = self.index.content(&found.member, path, codec)?.into_owned();
        text.truncate(limit as usize);
        Ok(Some(text))
    }

    fn find(&self, name: &str) -> io::Result<Option<Place>> {
        let Some(Found { member, codec }) = self.member(name)? else { return Ok(None) };
        let (archive, offset, size) = (Arc::clone(&self.archive), member.offset, member.size);
        Ok(Some(Place { archive, offset, size, codec: *codec }))
    }
}

/// The index entry with the requested name.
fn find_entry(all: &[Candidate], choice: &Choice<'_>) -> Result<usize, ()> {
    let mut entries: Vec<&Candidate> = all.iter().collect();
    entries.dedup_by_key(|candidate| candidate.entry);
    let found = choice.find(&entries, |it| it.names.iter().map(String::as_str).collect());
    found.map(|candidate| candidate.entry).map_err(drop)
}

fn entries(index: &Value) -> &[Value] {
    index["manifests"].as_array().map_or(&[], Vec::as_slice)
}

/// The names of an index entry: its full name, if any, and the one that tools choose it by.
fn names_of(entry: &Value) -> Vec<String> {
    let text = |key| entry["annotations"][key].as_str();
    unique([text(CONTAINERD_NAME), text(REF_NAME)].into_iter().flatten().map(str::to_owned))
}

fn unique(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut all = Vec::new();
    names.for_each(|name| {
        if !all.contains(&name) {
            all.push(name);
        }
    });
    all
}

fn platform(descriptor: &Descriptor) -> Option<String> {
    let Platform { architecture, os } = descriptor.platform.as_ref()?;
    Some(peer_text::start(&format!("{os}/{architecture}"), 80))
}

fn blob_name(digest: Digest) -> String {
    format!("{BLOBS}/{}", digest.hex())
}
