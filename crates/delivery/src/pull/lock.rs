//! Lock files: an image's documents, by which Nix fetches each of its blobs for itself.

use serde_json::{Map, Value};

use super::{PullError, Source};
use oci::WantedPlatform;

/// The version of the format; nix/images/pull-image-by-digest.nix reads it.
const VERSION: u64 = 1;

/// What a lock file holds of an image: the name, what the name stood for, the platform, and the
/// manifest as a text, since its digest is that of these bytes.
pub fn lock(source: &Source, platform: &WantedPlatform) -> Result<Value, PullError> {
    let reference = &source.reference;
    let manifest = str::from_utf8(&source.manifest_bytes)
        .map_err(|_| PullError::NotText(reference.to_string()))?;
    let mut lock = Map::new();
    let mut set = |key: &str, value: Value| lock.insert(key.into(), value);
    set("version", VERSION.into());
    set("imageName", reference.resolved().name().into());
    set("imageTag", reference.tag().into());
    set("imageDigest", source.digest.to_string().into());
    set("os", (&*platform.os).into());
    set("arch", (&*platform.architecture).into());
    if let Some(variant) = &platform.variant {
        set("variant", (&**variant).into());
    }
    set("mediaType", source.manifest.flavor.manifest().into());
    set("manifest", manifest.into());
    Ok(Value::Object(lock))
}
