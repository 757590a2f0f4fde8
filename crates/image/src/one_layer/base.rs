//! The base image of an image of one layer: a docker-archive, whose members are all copied.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde_json::Value;

use super::OneLayerError;
use super::documents::MAX_DOCUMENT;
use super::listing::Listing;
use super::members::{Content, Members, Section};
use crate::base::Codec;
use formats::digest::{Digest, HashWriter};

/// A base image whose documents have been read.
#[derive(Debug)]
pub(super) struct Base<'a> {
    path: &'a Path,
    /// The archive, uncompressed.
    pub(super) file: File,
    pub(super) members: Members,
    /// The members that are its layers, lowest first.
    pub(super) layers: Vec<String>,
    /// The environment variables that its config sets.
    pub(super) env: Vec<Value>,
    /// The config's name, which buildImage uses as the parent.
    pub(super) parent: String,
    diff_ids: Vec<String>,
}

impl<'a> Base<'a> {
    /// Reads the archive's first image.
    pub(super) fn open(path: &'a Path) -> Result<Self, OneLayerError> {
        let file = uncompressed(path).map_err(OneLayerError::io("read the base image", path))?;
        let broken = |problem| OneLayerError::Base { path: path.to_owned(), problem };
        let members = Members::read(&file).map_err(|error| broken(error.to_string()))?;
        let document = |name: &str| document(&file, &members, name).map_err(broken);
        let manifest = document("manifest.json")?;
        let image = &manifest[0];
        let config_name = image["Config"].as_str();
        let config_name =
            config_name.ok_or_else(|| broken("manifest.json names no config".into()))?;
        let config = document(config_name)?;
        let layers = strings(&image["Layers"])
            .ok_or_else(|| broken("manifest.json's Layers are not a list of names".into()))?;
        let env = match &config["config"]["Env"] {
            Value::Null => Vec::new(),
            Value::Array(env) => env.clone(),
            _ => return Err(broken("its config's Env is not a list".into())),
        };
        let parent = config_name.strip_suffix(".json").unwrap_or(config_name).to_owned();
        let diff_ids = strings(&config["rootfs"]["diff_ids"]).unwrap_or_default();
        Ok(Self { path, file, members, layers, env, parent, diff_ids })
    }

    /// The digests of its layers, which must match its config.
    pub(super) fn diff_ids(&self) -> Result<Vec<Digest>, OneLayerError> {
        let mut known = HashMap::new();
        let mut digests = Vec::new();
        for (index, name) in self.layers.iter().enumerate() {
            let section = self.section(name)?;
            let digest = match known.get(&section) {
                Some(&digest) => digest,
                None => self.digest(section)?,
            };
            known.insert(section, digest);
            let expected = self.diff_ids.get(index).map_or("nothing", String::as_str);
            if expected != digest.to_string() {
                return Err(self.broken(format!(
                    "layer `{name}` has the digest {digest}, its config says {expected}; \
                     fetch or build the base again"
                )));
            }
            digests.push(digest);
        }
        Ok(digests)
    }

    /// Adds the files of those layers that are members called `<name>/layer.tar`.
    pub(super) fn list(&self, listing: &mut Listing) -> Result<(), OneLayerError> {
        let layers = self.layers.iter().map(|name| self.section(name));
        let layers = layers.collect::<Result<HashSet<_>, _>>()?;
        for path in self.members.0.keys() {
            let [directory, name] = path.as_slice() else { continue };
            if directory.starts_with(b".") || name != b"layer.tar" {
                continue;
            }
            if let Some(&Content::Base(section)) = self.members.file(&path.join(&b'/'))
                && layers.contains(&section)
            {
                let listed = self.layer(section).and_then(|layer| listing.add_layer(layer));
                listed.map_err(|error| {
                    let name = String::from_utf8_lossy(directory);
                    self.broken(format!("layer `{name}/layer.tar`: {error}"))
                })?;
            }
        }
        Ok(())
    }

    fn section(&self, name: &str) -> Result<Section, OneLayerError> {
        match self.members.file(name.as_bytes()) {
            Some(&Content::Base(section)) => Ok(section),
            _ => Err(self.broken(format!("layer `{name}` is named by the manifest, but missing"))),
        }
    }

    fn digest(&self, section: Section) -> Result<Digest, OneLayerError> {
        let mut hash = HashWriter::default();
        let copied = self.layer(section).and_then(|mut layer| io::copy(&mut layer, &mut hash));
        copied.map_err(OneLayerError::io("read the base image", self.path))?;
        Ok(hash.finish())
    }

    /// The layer's tar file. Docker's containerd store saves layers as they were pulled,
    /// compressed.
    fn layer(&self, section: Section) -> io::Result<Box<dyn Read + '_>> {
        let mut start = Vec::new();
        section.of(&self.file).take(6).read_to_end(&mut start)?;
        let layer = section.of(&self.file);
        Ok(match Codec::of(&start) {
            Codec::None => Box::new(io::BufReader::with_capacity(256 << 10, layer)),
            Codec::Gzip => Box::new(flate2::read::MultiGzDecoder::new(layer)),
            Codec::Zstd => Box::new(zstd::Decoder::new(layer)?),
            Codec::Bzip2 | Codec::Xz => {
                return Err(io::Error::other("it is compressed in a way that no engine supports"));
            }
        })
    }

    fn broken(&self, problem: String) -> OneLayerError {
        OneLayerError::Base { path: self.path.to_owned(), problem }
    }
}

/// The archive. A compressed one is decompressed to a temporary file, since its members are needed
/// in another order.
fn uncompressed(path: &Path) -> io::Result<File> {
    let codec = Codec::detect(path)?;
    let file = File::open(path)?;
    if codec == Codec::None {
        return Ok(file);
    }
    let mut copy = tempfile::tempfile()?;
    io::copy(&mut codec.reader(file)?, &mut copy)?;
    io::Seek::rewind(&mut copy)?;
    Ok(copy)
}

fn document(file: &File, members: &Members, name: &str) -> Result<Value, String> {
    let Some(&Content::Base(section)) = members.file(name.as_bytes()) else {
        return Err(format!(
            "it has no `{name}`; expected the output of `docker save` or `skopeo copy ... \
             docker-archive:FILE`"
        ));
    };
    if section.size > MAX_DOCUMENT {
        let size = section.size;
        return Err(format!("`{name}` has {size} bytes; a document has {MAX_DOCUMENT} at most"));
    }
    let mut text = Vec::new();
    section.of(file).read_to_end(&mut text).map_err(|error| format!("`{name}`: {error}"))?;
    serde_json::from_slice(&text).map_err(|error| format!("`{name}` is not valid JSON: {error}"))
}

fn strings(value: &Value) -> Option<Vec<String>> {
    let list = value.as_array()?.iter();
    list.map(|item| item.as_str().map(str::to_owned)).collect()
}
