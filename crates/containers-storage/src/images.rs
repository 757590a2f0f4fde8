//! The images of a storage, locked for writing.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use formats::digest::Digest;
use serde_json::{Value, json};

use crate::error::Error;
use crate::files::{make_directory, remove_tree, remove_unfinished, write_atomically};
use crate::lock::{Access, Lock};
use crate::records::{Record, Records, text, texts};
use crate::storage::Storage;
use crate::time::{go_time, now};
use crate::users::Users;

/// An image in a storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Its ID: the digest of its config.
    pub id: Digest,
    /// Its names, with registry and tag.
    pub names: Vec<String>,
    /// Its top layer, if it has any layers.
    pub top_layer: Option<Digest>,
    /// The digest of its manifest.
    pub digest: Option<Digest>,
    /// When it was created, as an RFC 3339 date.
    pub created: String,
}

/// An image to be recorded.
#[derive(Clone, Copy, Debug)]
pub struct NewImage<'a> {
    /// Its names, with registry and tag. They are taken away from other images.
    pub names: &'a [String],
    /// Its top layer, which must exist; `None` if it has no layers.
    pub top_layer: Option<Digest>,
    /// The bytes of its manifest.
    pub manifest: &'a [u8],
    /// The bytes of its config, whose digest is the image's ID.
    pub config: &'a [u8],
    /// The date in its config; if that is not an RFC 3339 date, the current time is used.
    pub created: Option<&'a str>,
}

/// The images of a storage, locked for writing.
#[derive(Debug)]
pub struct Images<'a> {
    storage: &'a Storage,
    lock: Lock,
    records: Records,
}

impl Image {
    pub(crate) fn parse(record: &Record) -> Option<Self> {
        Some(Self {
            id: Digest::from_hex(text(record, "id")).ok()?,
            names: texts(record, "names").map(str::to_owned).collect(),
            top_layer: Digest::from_hex(text(record, "layer")).ok(),
            digest: text(record, "digest").parse().ok(),
            created: text(record, "created").to_owned(),
        })
    }
}

impl Storage {
    /// Locks the images for writing. Waits for other lock holders for up to `patience`.
    pub fn images(&self, patience: Duration) -> Result<Images<'_>, Error> {
        let mode = self.modes().lock;
        let lock = Lock::take(&self.images_lock(), Access::Write, mode, patience)?;
        let records = Records::read(&self.images_directory().join("images.json"))?;
        remove_unfinished(&self.images_directory());
        Ok(Images { storage: self, lock, records })
    }
}

impl Images<'_> {
    /// All images.
    pub fn list(&self) -> Vec<Image> {
        self.records.list.iter().filter_map(Image::parse).collect()
    }

    /// The image with this ID.
    pub fn get(&self, id: Digest) -> Option<Image> {
        self.records.find(&id.hex()).and_then(Image::parse)
    }

    /// The image with this name, which includes registry and tag.
    pub fn by_name(&self, name: &str) -> Option<Image> {
        let mut records = self.records.list.iter();
        records.find(|record| texts(record, "names").any(|n| n == name)).and_then(Image::parse)
    }

    /// Records an image as `podman load` does, gives it its names, and returns its ID.
    ///
    /// Its documents are written before its record, so an incomplete image is never visible.
    pub fn put(&mut self, image: &NewImage<'_>) -> Result<Digest, Error> {
        let id = Digest::of(image.config);
        let manifest = Digest::of(image.manifest);
        let known = self.records.find(&id.hex());
        let layer = image.top_layer.map(|layer| layer.hex()).unwrap_or_default();
        if known.is_some_and(|known| text(known, "layer") != layer) {
            let storage = self.storage.root().to_owned();
            return Err(Error::OtherLayers { id, storage });
        }
        // In podman's order.
        let documents = [
            (id.to_string(), image.config),
            (format!("manifest-{manifest}"), image.manifest),
            ("manifest".to_owned(), image.manifest),
            (format!("signature-{}", manifest.hex()), &[][..]),
        ];
        self.write_documents(id, &documents)?;
        let mut record = known.cloned().unwrap_or_else(|| new_record(id, manifest, &layer, image));
        describe(&mut record, manifest, &documents);
        match self.records.list.iter_mut().find(|record| text(record, "id") == id.hex()) {
            Some(known) => *known = record,
            None => self.records.list.push(record),
        }
        self.give_names(id, image.names);
        self.save()?;
        Ok(id)
    }

    /// Gives an image one more name, which is taken away from any other image.
    pub fn add_name(&mut self, id: Digest, name: &str) -> Result<(), Error> {
        if self.records.find(&id.hex()).is_none() {
            return Err(self.missing(&id.hex()));
        }
        self.give_names(id, &[name.to_owned()]);
        self.save()
    }

    /// Takes a name away from the image that has it. The image stays.
    pub fn remove_name(&mut self, name: &str) -> Result<(), Error> {
        if self.by_name(name).is_none() {
            return Err(self.missing(name));
        }
        for record in &mut self.records.list {
            take_name(record, name);
        }
        self.save()
    }

    /// Removes an image but not its layers. Fails if a container was created from it.
    pub fn remove(&mut self, id: Digest) -> Result<(), Error> {
        let hex = id.hex();
        if self.records.find(&hex).is_none() {
            return Err(self.missing(&hex));
        }
        if let Some(container) = Users::read(self.storage.root())?.container_of(&hex) {
            let user = format!("container {container}");
            return Err(Error::InUse { what: format!("image {hex}"), user });
        }
        self.records.list.retain(|record| text(record, "id") != hex);
        self.save()?;
        remove_tree(&self.directory(id))
    }

    fn directory(&self, id: Digest) -> PathBuf {
        self.storage.images_directory().join(id.hex())
    }

    fn missing(&self, id: &str) -> Error {
        Error::ImageMissing { id: id.to_owned(), storage: self.storage.root().to_owned() }
    }

    fn write_documents(&self, id: Digest, documents: &[(String, &[u8])]) -> Result<(), Error> {
        let modes = self.storage.modes();
        let directory = self.directory(id);
        if directory.is_dir() {
            remove_unfinished(&directory);
        } else {
            make_directory(&directory, modes.directory)?;
        }
        documents.iter().try_for_each(|(key, bytes)| {
            let path = directory.join(file_name(key));
            write_atomically(&path, modes.file, |file| file.write_all(bytes))
        })
    }

    /// Gives an image names, takes these away from other images, and adds them to the image's
    /// history of names.
    fn give_names(&mut self, id: Digest, names: &[String]) {
        if names.is_empty() {
            return;
        }
        let id = id.hex();
        for record in self.records.list.iter_mut().filter(|record| text(record, "id") != id) {
            for name in names {
                take_name(record, name);
            }
        }
        let Some(record) = self.records.list.iter_mut().find(|record| text(record, "id") == id)
        else {
            return;
        };
        let old: Vec<String> = texts(record, "names").map(str::to_owned).collect();
        let all = unique(names.iter().cloned().chain(old));
        // The newest comes first.
        let before = texts(record, "names-history").map(str::to_owned);
        let history = unique(all.iter().rev().cloned().chain(before));
        set(record, "names", all);
        set(record, "names-history", history);
    }

    fn save(&self) -> Result<(), Error> {
        self.lock.touch()?;
        self.records.write(self.storage.modes().file)
    }
}

fn new_record(id: Digest, manifest: Digest, layer: &str, image: &NewImage<'_>) -> Record {
    let mut record = Record::new();
    record.insert("id".into(), id.hex().into());
    record.insert("digest".into(), manifest.to_string().into());
    if !image.names.is_empty() {
        // Reserves their place in Go's order of fields.
        record.insert("names".into(), json!([]));
        record.insert("names-history".into(), json!([]));
    }
    if !layer.is_empty() {
        record.insert("layer".into(), layer.into());
    }
    for field in ["metadata", "big-data-names", "big-data-sizes", "big-data-digests"] {
        record.insert(field.into(), Value::Null);
    }
    let created = image.created.and_then(go_time).unwrap_or_else(now);
    record.insert("created".into(), created.into());
    record
}

/// Records an image's documents in its record.
fn describe(record: &mut Record, manifest: Digest, documents: &[(String, &[u8])]) {
    let metadata = json!({ "signatures-sizes": { (manifest.to_string()): [] } });
    record.insert("metadata".into(), metadata.to_string().into());
    let known = texts(record, "big-data-names").map(str::to_owned);
    let names = unique(known.chain(documents.iter().map(|(key, _)| key.clone())));
    set(record, "big-data-names", names);
    let sizes = documents.iter().map(|(key, bytes)| (key.clone(), bytes.len().into()));
    extend(record, "big-data-sizes", sizes);
    let digests =
        documents.iter().map(|(key, bytes)| (key.clone(), Digest::of(bytes).to_string().into()));
    extend(record, "big-data-digests", digests);
}

/// Adds entries to an object of a record. Go writes objects sorted by key.
fn extend(record: &mut Record, field: &str, new: impl Iterator<Item = (String, Value)>) {
    let mut entries = match record.get_mut(field).map(Value::take) {
        Some(Value::Object(known)) => known,
        _ => Record::new(),
    };
    entries.extend(new);
    entries.sort_keys();
    record.insert(field.to_owned(), entries.into());
}

/// Sets a list of a record. Go omits empty lists.
fn set(record: &mut Record, field: &str, list: Vec<String>) {
    if list.is_empty() {
        record.shift_remove(field);
    } else {
        record.insert(field.to_owned(), list.into());
    }
}

fn take_name(record: &mut Record, name: &str) {
    if texts(record, "names").any(|known| known == name) {
        let left = texts(record, "names").filter(|known| *known != name);
        let left = left.map(str::to_owned).collect();
        set(record, "names", left);
    }
}

/// Removes duplicates; the first of each stays.
fn unique(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut list: Vec<String> = Vec::new();
    for name in names {
        if !list.contains(&name) {
            list.push(name);
        }
    }
    list
}

/// The file name of a document (`makeBigDataBaseName`).
fn file_name(key: &str) -> String {
    let plain = |c: char| c == '.' || c.is_ascii_digit() || c.is_ascii_lowercase();
    if key.chars().all(plain) { key.to_owned() } else { format!("={}", STANDARD.encode(key)) }
}
