//! The records of containers/storage, which podman and CRI-O write as well.

use std::fs;
use std::time::Duration;

use containers_storage::{NewImage, Storage};
use serde_json::Value;

use super::{parts, scratch};

const PATIENCE: Duration = Duration::from_secs(5);

/// Reads a storage, adds an image to it, and removes it again: everything else stays as it was.
pub fn storage(input: &[u8]) {
    let parts = parts::split(input);
    let root = scratch::empty("storage");
    for name in ["overlay/l", "overlay-layers", "overlay-images", "overlay-containers"] {
        fs::create_dir_all(root.join(name)).unwrap();
    }
    let files = [
        "overlay-layers/layers.json",
        "overlay-images/images.json",
        "overlay-containers/containers.json",
        "overlay-layers/volatile-layers.json",
    ];
    for (file, part) in files.iter().zip(&parts) {
        fs::write(root.join(file), part).unwrap();
    }
    let storage = Storage::open(&root).unwrap();
    let Ok(before) = storage.read(PATIENCE) else { return };
    let mut images = storage.images(PATIENCE).unwrap();
    assert_eq!(images.list(), before.images);
    let names = [String::from("localhost/fuzz:1")];
    let taken = before.images.iter().any(|image| image.names.contains(&names[0]));
    let new = NewImage {
        names: &names,
        top_layer: before.layers.first().map(|layer| layer.id),
        manifest: b"{}",
        config: b"{\"fuzz\":1}",
        created: Some("1970-01-01T00:00:01Z"),
    };
    let Ok(id) = images.put(&new) else { return };
    let put = images.by_name(&names[0]).unwrap();
    assert_eq!((put.id, &put.top_layer), (id, &new.top_layer));
    drop(images);
    let after = storage.read(PATIENCE).unwrap();
    assert_eq!(after.layers, before.layers);
    assert!(after.images.iter().any(|image| image.id == id && image.names == put.names));
    let mut images = storage.images(PATIENCE).unwrap();
    if images.remove(id).is_ok() && !taken && !before.images.iter().any(|image| image.id == id) {
        let read = |text: &[u8]| serde_json::from_slice::<Value>(text).unwrap_or_default();
        let left = read(&fs::read(root.join(files[1])).unwrap());
        let was = parts.get(1).map(|text| read(text)).unwrap_or_default();
        let none = Value::Array(Vec::new());
        let was = if was.is_null() { none } else { was };
        assert!(left == was, "{left}\n{was}");
    }
}
