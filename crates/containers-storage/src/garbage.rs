//! Garbage collection of additional image stores: layers that no image uses.

use std::collections::HashSet;
use std::time::Duration;

use formats::digest::Digest;

use crate::error::Error;
use crate::layers::Layers;
use crate::records::{Records, text};
use crate::storage::Kind;
use crate::users::{Users, mounted_words};

/// What a garbage collection did.
#[derive(Debug, Default)]
pub struct Collected {
    /// The images that were removed.
    pub images: Vec<Digest>,
    /// The layers that were removed.
    pub removed: Vec<Digest>,
    /// Layers that no image uses, but were kept because they are mounted.
    pub mounted: Vec<Digest>,
    /// How many layers that were never finished had leftovers, which are removed now.
    pub leftovers: usize,
}

impl Layers<'_> {
    /// Removes images of an additional image store that have no names left, layers that no image
    /// uses, and what killed runs left.
    ///
    /// Containers may run from them. Layers are kept if a mount shows that they are in use, but not
    /// every mount shows that: not those of other machines, nor those with many layers.
    pub fn collect_garbage(&mut self, patience: Duration) -> Result<Collected, Error> {
        let root = self.storage().root();
        if self.storage().kind() == Kind::Engine {
            let why = "expected an additional image store, found the storage of an engine";
            return Err(Error::unsupported(root, why));
        }
        let mut images = self.storage().images(patience)?;
        let nameless = images.list().into_iter().filter(|image| image.names.is_empty());
        let nameless: Vec<Digest> = nameless.map(|image| image.id).collect();
        nameless.iter().try_for_each(|id| images.remove(*id))?;
        drop(images);
        let mut needed = HashSet::new();
        for (id, _) in Users::read(root)?.layers() {
            need(self.records(), id, &mut needed);
        }
        let mut collected = Collected { images: nameless, ..Collected::default() };
        let words = mounted_words();
        let found = self.driver().all()?;
        for id in &found {
            if !needed.contains(&id.hex()) && self.is_mounted(*id, &words)? {
                collected.mounted.push(*id);
            }
        }
        for id in &collected.mounted {
            need(self.records(), &id.hex(), &mut needed);
        }
        let recorded = self.records().list.iter().map(|record| text(record, "id"));
        let recorded: HashSet<Digest> =
            recorded.filter_map(|id| Digest::from_hex(id).ok()).collect();
        let unneeded = |id: &Digest| !needed.contains(&id.hex());
        collected.removed = recorded.iter().copied().filter(unneeded).collect();
        let removed = collected.removed.iter().copied().collect();
        self.delete(&removed)?;
        for id in found {
            if unneeded(&id) && !recorded.contains(&id) {
                self.delete_files(id)?;
                collected.leftovers += 1;
            }
        }
        self.driver().remove_litter();
        Ok(collected)
    }
}

/// Adds a layer and all layers below it.
fn need(records: &Records, id: &str, needed: &mut HashSet<String>) {
    let mut next = id.to_owned();
    while !next.is_empty() && needed.insert(next.clone()) {
        next = records
            .find(&next)
            .map_or_else(String::new, |record| text(record, "parent").to_owned());
    }
}
