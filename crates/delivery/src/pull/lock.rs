//! Lock files: the documents of an image, from which Nix can fetch each of its blobs separately.

use serde_json::{Map, Value};

use super::{PullError, Source};
use oci::WantedPlatform;

/// The version of the format, which is read by nix/images/pull-image-by-digest.nix.
const VERSION: u64 = 1;

/// The lock file of an image: its name, the digest of what the name stood for, the platform, and
/// the manifest as a string, to preserve the bytes of which it has the digest.
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
