//! Packs a tree into the layer that the closure's files are added to later.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::Path;

use serde_json::Value;

use super::OneLayerError;
use super::documents;
use super::walk::{Order, Walk};
use super::writer::{Archive, Owner};
use formats::json;
use formats::tarsum::TarSum;

/// Packs `tree` into `out/layer.tar`, whose bytes are those of
/// `tar --sort=name --hard-dereference --mtime --owner --group`, and writes `out/json`, which is
/// the image's description with the layer's tarsum, and `out/VERSION`.
pub fn pack(
    tree: &Path,
    description: &Path,
    owner: &Owner,
    out: &Path,
) -> Result<(), OneLayerError> {
    let mut document = documents::read_object(description)?;
    fs::create_dir_all(out).map_err(OneLayerError::io("make", out))?;
    let path = out.join("layer.tar");
    let file = File::create(&path).map_err(OneLayerError::io("make", &path))?;
    let mut archive = Archive::new(BufWriter::with_capacity(1 << 20, file));
    let mut sum = TarSum::new();
    let mut walk = Walk::new(&tree.join(""), [b".".to_vec()], Order::Depth)?;
    while let Some(entry) = walk.next_entry()? {
        archive.add(&entry, &entry.path, owner, Some(&mut sum))?;
    }
    archive.finish()?;
    document.insert("checksum".into(), sum.to_string().into());
    let write = |name: &str, text: &str| {
        let path = out.join(name);
        fs::write(&path, text).map_err(OneLayerError::io("write", &path))
    };
    write("json", &json::jshon(&Value::Object(document)))?;
    write("VERSION", documents::VERSION)
}
