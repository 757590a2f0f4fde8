//! The layers of a storage, locked for writing.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::PathBuf;
use std::time::Duration;

use formats::digest::Digest;

use crate::driver::Driver;
use crate::error::{Context as _, Error};
use crate::files::{Unnamed, name, remove_tree, remove_unfinished};
use crate::layer::{Facts, Layer, NewLayer, mark_incomplete};
use crate::lock::{Access, Lock};
use crate::records::{Records, text};
use crate::storage::{Kind, Storage};
use crate::time::now;
use crate::users::{Users, mounted_words};

/// The suffix that makes a layer's ID the name of its tar-split (`tarSplitSuffix`).
const TAR_SPLIT: &str = ".tar-split.gz";

/// A layer whose tree is complete.
#[allow(missing_debug_implementations, reason = "not every `Read` has one")]
pub struct FinishedLayer<'a> {
    /// Its ID.
    pub id: Digest,
    /// What is known of it now.
    pub facts: Facts,
    /// The layer's tar-split, compressed with gzip.
    pub tar_split: &'a mut dyn Read,
    /// The mode of the tree's root, if the layer has the entry `/`; one with the name `./` does not
    /// count.
    pub root_mode: Option<u32>,
}

/// The layers of a storage, locked for writing. Layers that were begun but not finished are removed
/// when this is dropped.
#[derive(Debug)]
pub struct Layers<'a> {
    storage: &'a Storage,
    lock: Lock,
    patience: Duration,
    records: Records,
    begun: Vec<NewLayer>,
}

impl Storage {
    /// Locks the layers for writing. Waits for other lock holders for up to `patience`.
    ///
    /// Until this is dropped, other processes cannot read or write the layers of an engine's
    /// storage. Those of an additional image store can still be read.
    pub fn layers(&self, patience: Duration) -> Result<Layers<'_>, Error> {
        let mode = self.modes().lock;
        let lock = Lock::take(&self.writers_lock(), Access::Write, mode, patience)?;
        let directory = self.layers_directory();
        let records = Records::read(&directory.join("layers.json"))?;
        remove_unfinished(&directory);
        Ok(Layers { storage: self, lock, patience, records, begun: Vec::new() })
    }
}

impl Layers<'_> {
    /// A layer, if it exists and is complete.
    pub fn get(&self, id: Digest) -> Option<Layer> {
        self.records.find(&id.hex()).and_then(Layer::complete)
    }

    /// The directory with a layer's tree.
    pub fn tree(&self, id: Digest) -> PathBuf {
        self.driver().directory(id).join("diff")
    }

    /// Creates directories for layers, which are recorded as incomplete; returns where the tree of
    /// each goes.
    ///
    /// Leftovers of these layers from killed runs are removed. Fails if one of them already exists.
    pub fn begin(&mut self, layers: &[NewLayer]) -> Result<Vec<PathBuf>, Error> {
        let mut known: HashSet<Digest> = self.begun.iter().map(|layer| layer.id).collect();
        for layer in layers {
            if known.contains(&layer.id) || self.get(layer.id).is_some() {
                let storage = self.storage.root().to_owned();
                return Err(Error::LayerExists { id: layer.id, storage });
            }
            if let Some(parent) = layer.parent
                && !known.contains(&parent)
                && self.get(parent).is_none()
            {
                return Err(self.missing(parent));
            }
            known.insert(layer.id);
        }
        let new: HashSet<String> = layers.iter().map(|layer| layer.id.hex()).collect();
        self.records.list.retain(|record| !new.contains(text(record, "id")));
        self.begun.extend_from_slice(layers);
        if self.storage.kind() == Kind::Engine {
            let now = now();
            self.records.list.extend(layers.iter().map(|layer| layer.record(&now, None)));
            self.save()?;
        }
        let driver = self.driver();
        layers.iter().map(|layer| driver.create(layer.id, layer.parent)).collect()
    }

    /// Records layers as complete, once their trees are.
    pub fn finish(&mut self, layers: Vec<FinishedLayer<'_>>) -> Result<(), Error> {
        let driver = self.driver();
        let mut finished = HashMap::new();
        let mut tar_splits = Vec::new();
        let now = now();
        for layer in layers {
            let begun = self.begun.iter().find(|begun| begun.id == layer.id);
            let begun = begun.ok_or_else(|| self.missing(layer.id))?;
            let copy = |file: &mut File| io::copy(layer.tar_split, file).map(drop);
            let path = self.tar_split(layer.id);
            tar_splits.push(Unnamed::write(&path, self.storage.modes().file, copy)?);
            driver.finish(layer.id, begun.parent, layer.root_mode)?;
            finished.insert(layer.id, begun.record(&now, Some(&layer.facts)));
        }
        name(tar_splits)?;
        // In the order in which they were begun, so parents come first.
        for begun in &self.begun {
            let Some(record) = finished.get(&begun.id) else { continue };
            let id = begun.id.hex();
            match self.records.list.iter_mut().find(|record| text(record, "id") == id) {
                Some(incomplete) => incomplete.clone_from(record),
                None => self.records.list.push(record.clone()),
            }
        }
        self.save()?;
        self.begun.retain(|begun| !finished.contains_key(&begun.id));
        Ok(())
    }

    /// Removes the layers that were begun but not finished.
    pub fn abandon(mut self) -> Result<(), Error> {
        self.remove_begun()
    }

    /// Removes layers. Fails without removing any if something else uses one of them.
    pub fn remove(&mut self, ids: &[Digest]) -> Result<(), Error> {
        let going: HashSet<String> = ids.iter().map(Digest::hex).collect();
        let users = Users::read(self.storage.root())?;
        let children = self.records.list.iter();
        let children = children.filter(|record| !going.contains(text(record, "id")));
        let children = children
            .map(|record| (text(record, "parent"), format!("layer {}", text(record, "id"))));
        if let Some((layer, user)) =
            users.layers().chain(children).find(|(id, _)| going.contains(*id))
        {
            return Err(Error::InUse { what: format!("layer {layer}"), user });
        }
        let mounted = mounted_words();
        for id in ids {
            if self.is_mounted(*id, &mounted)? {
                let what = format!("layer {}", id.hex());
                return Err(Error::InUse { what, user: "a mounted file system".to_owned() });
            }
        }
        self.delete(&ids.iter().copied().collect())
    }

    /// Removes layers that were finished under this lock, so nothing else can use them yet.
    pub fn undo(&mut self, ids: &[Digest]) -> Result<(), Error> {
        self.delete(&ids.iter().copied().collect())
    }

    /// Removes layers, even if they are in use.
    pub(crate) fn delete(&mut self, ids: &HashSet<Digest>) -> Result<(), Error> {
        let going: HashSet<String> = ids.iter().map(Digest::hex).collect();
        if self.storage.kind() == Kind::Engine {
            // If this is interrupted, the next writer removes the rest.
            for record in &mut self.records.list {
                if going.contains(text(record, "id")) {
                    mark_incomplete(record);
                }
            }
            self.save()?;
            ids.iter().try_for_each(|id| self.delete_files(*id))?;
        }
        self.records.list.retain(|record| !going.contains(text(record, "id")));
        self.save()?;
        // Processes that only read a storage take every recorded layer for complete.
        if self.storage.kind() == Kind::Additional {
            ids.iter().try_for_each(|id| self.delete_files(*id))?;
        }
        Ok(())
    }

    pub(crate) fn delete_files(&self, id: Digest) -> Result<(), Error> {
        self.driver().remove(id)?;
        let tar_split = self.tar_split(id);
        match fs::remove_file(&tar_split) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).context("removing", &tar_split)
            }
            _ => remove_tree(&self.storage.layers_directory().join(id.hex())),
        }
    }

    fn remove_begun(&mut self) -> Result<(), Error> {
        let begun: HashSet<Digest> = self.begun.drain(..).map(|layer| layer.id).collect();
        if begun.is_empty() { Ok(()) } else { self.delete(&begun) }
    }

    pub(crate) fn storage(&self) -> &Storage {
        self.storage
    }

    pub(crate) fn records(&self) -> &Records {
        &self.records
    }

    pub(crate) fn driver(&self) -> Driver {
        self.storage.driver()
    }

    fn tar_split(&self, id: Digest) -> PathBuf {
        self.storage.layers_directory().join(id.hex() + TAR_SPLIT)
    }

    fn missing(&self, id: Digest) -> Error {
        Error::LayerMissing { id, storage: self.storage.root().to_owned() }
    }

    /// Whether a layer is mounted, given the words of all mounts.
    pub(crate) fn is_mounted(&self, id: Digest, words: &HashSet<String>) -> Result<bool, Error> {
        let link = self.driver().link(id)?;
        Ok(words.contains(&id.hex()) || link.is_some_and(|link| words.contains(&link)))
    }

    fn save(&self) -> Result<(), Error> {
        let modes = self.storage.modes();
        let write = |lock: &Lock| {
            lock.touch()?;
            self.records.write(modes.file)
        };
        match self.storage.kind() {
            Kind::Engine => write(&self.lock),
            Kind::Additional => {
                let path = self.storage.layers_lock();
                write(&Lock::take(&path, Access::Write, modes.lock, self.patience)?)
            }
        }
    }
}

impl Drop for Layers<'_> {
    fn drop(&mut self) {
        // If this fails, the next writer removes them, as they are recorded as incomplete.
        let _ = self.remove_begun();
    }
}

#[cfg(test)]
mod tests;
