//! Users of layers and images: other layers, images, containers and mounts.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use crate::error::Error;
use crate::records::{Record, Records, text, texts};

/// Records of what uses layers, read without their locks. That is safe because a process that
/// records a new image or container holds a lock on the layers meanwhile, and files are replaced
/// atomically.
#[derive(Debug)]
pub(crate) struct Users {
    images: Vec<Record>,
    containers: Vec<Record>,
    /// Layers that the library records in a separate file.
    volatile_layers: Vec<Record>,
}

impl Users {
    pub(crate) fn read(root: &Path) -> Result<Self, Error> {
        let records = |name: &str| Records::read(&root.join(name)).map(|records| records.list);
        let mut containers = records("overlay-containers/containers.json")?;
        containers.extend(records("overlay-containers/volatile-containers.json")?);
        Ok(Self {
            images: records("overlay-images/images.json")?,
            containers,
            volatile_layers: records("overlay-layers/volatile-layers.json")?,
        })
    }

    /// Every layer that something other than a stable layer uses directly, and what uses it.
    pub(crate) fn layers(&self) -> impl Iterator<Item = (&str, String)> {
        let name = |kind: &str, record: &Record| format!("{kind} {}", text(record, "id"));
        let images = self.images.iter().flat_map(move |image| {
            let layers = [text(image, "layer")].into_iter().chain(texts(image, "mapped-layers"));
            layers.map(move |layer| (layer, name("image", image)))
        });
        let containers = self
            .containers
            .iter()
            .map(move |container| (text(container, "layer"), name("container", container)));
        let volatile = self
            .volatile_layers
            .iter()
            .map(move |layer| (text(layer, "parent"), name("layer", layer)));
        images.chain(containers).chain(volatile).filter(|(layer, _)| !layer.is_empty())
    }

    /// A container that was created from an image.
    pub(crate) fn container_of(&self, image: &str) -> Option<&str> {
        let mut containers = self.containers.iter();
        containers.find(|record| text(record, "image") == image).map(|found| text(found, "id"))
    }
}

/// The words of all visible mounts of all processes: parts of paths and of options. The options of
/// an overlay mount contain its layers' directories or links.
pub(crate) fn mounted_words() -> HashSet<String> {
    let mut namespaces = HashSet::new();
    let mut words = HashSet::new();
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        // It has ended, or belongs to another user.
        let Ok(namespace) = fs::read_link(process.path().join("ns/mnt")) else { continue };
        if namespaces.insert(namespace)
            && let Ok(mounts) = fs::read_to_string(process.path().join("mountinfo"))
        {
            let parts = mounts.split([' ', '\n', '/', ':', ',', '=']);
            words.extend(parts.filter(|part| matches!(part.len(), 26 | 64)).map(str::to_owned));
        }
    }
    words
}
