//! Read-only views of a storage.

use std::path::PathBuf;
use std::time::Duration;

use crate::error::Error;
use crate::images::Image;
use crate::layer::Layer;
use crate::lock::{Access, Lock};
use crate::records::Records;
use crate::storage::Storage;

/// The content of a storage at one moment.
#[derive(Debug)]
pub struct Snapshot {
    /// The complete layers.
    pub layers: Vec<Layer>,
    /// The images.
    pub images: Vec<Image>,
}

impl Storage {
    /// Reads the complete layers and the images. Waits for writers for up to `patience`.
    pub fn read(&self, patience: Duration) -> Result<Snapshot, Error> {
        let take = |path: PathBuf| Lock::take(&path, Access::Read, self.modes().lock, patience);
        let _layers = take(self.layers_lock())?;
        let _images = take(self.images_lock())?;
        let layers = Records::read(&self.layers_directory().join("layers.json"))?;
        let images = Records::read(&self.images_directory().join("images.json"))?;
        Ok(Snapshot {
            layers: layers.list.iter().filter_map(Layer::complete).collect(),
            images: images.list.iter().filter_map(Image::parse).collect(),
        })
    }
}
