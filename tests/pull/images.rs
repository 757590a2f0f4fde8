//! Images in a registry, and commands that pull them.

use crate::support::registry::Registry;
use crate::support::{NIX_IMAGE, command, sha256};
use oci::{Annotations, Compression, Descriptor, Flavor, Manifest};
use std::io::Write as _;
use std::process::Command;

/// The repository of all images.
pub(super) const REPOSITORY: &str = "me/app";

/// An image made for a test.
#[derive(Clone, Debug)]
pub(super) struct TestImage {
    pub(super) flavor: Flavor,
    /// Each layer's tar file, which may be any bytes, and how the blob is compressed.
    pub(super) layers: Vec<(Vec<u8>, Compression)>,
    /// The config, with the placeholder `DIFF_IDS` for the list.
    pub(super) config: String,
}

pub(super) const CONFIG: &str = r#"{"architecture":"amd64","os":"linux","config":{"Cmd":["x"]},
    "rootfs":{"type":"layers","diff_ids":DIFF_IDS}}"#;

impl TestImage {
    /// An image of these layers.
    pub(super) fn new(flavor: Flavor, layers: &[(&[u8], Compression)]) -> Self {
        let layers = layers.iter().map(|(tar, compression)| (tar.to_vec(), *compression)).collect();
        Self { flavor, layers, config: CONFIG.into() }
    }

    /// Two layers, with gzip.
    pub(super) fn usual() -> Self {
        let layers = [(&b"first layer"[..], Compression::Gzip), (b"second", Compression::Gzip)];
        Self::new(Flavor::Oci, &layers)
    }

    /// Stores everything that the manifest refers to, and returns the manifest.
    pub(super) fn manifest(&self, registry: &Registry) -> Manifest {
        let diff_ids: Vec<_> =
            self.layers.iter().map(|(tar, _)| format!("\"sha256:{}\"", sha256(tar))).collect();
        let config = self.config.replace("DIFF_IDS", &format!("[{}]", diff_ids.join(", ")));
        registry.set_blob(REPOSITORY, config.as_bytes());
        let layers = self.layers.iter().map(|(tar, compression)| {
            let blob = compress(tar, *compression);
            registry.set_blob(REPOSITORY, &blob);
            Descriptor::of(self.flavor.layer(*compression), &blob)
        });
        Manifest {
            flavor: self.flavor,
            config: Descriptor::of(self.flavor.config(), config.as_bytes()),
            layers: layers.collect(),
            annotations: Annotations::new(),
        }
    }

    /// Stores it under a tag, and returns the digest of its manifest.
    pub(super) fn store(&self, registry: &Registry, tag: &str) -> String {
        store_manifest(registry, tag, &self.manifest(registry))
    }
}

pub(super) fn store_manifest(registry: &Registry, tag: &str, manifest: &Manifest) -> String {
    let json = manifest.to_json();
    registry.set_document(REPOSITORY, tag, manifest.flavor.manifest(), json.as_bytes())
}

pub(super) fn compress(bytes: &[u8], compression: Compression) -> Vec<u8> {
    match compression {
        Compression::None => bytes.to_vec(),
        Compression::Gzip => {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Compression::Zstd => zstd::encode_all(bytes, 1).unwrap(),
    }
}

/// `nix-image COMMAND IMAGE`, without credentials.
pub(super) fn nix_image(subcommand: &str, image: &str) -> Command {
    let mut command = command(NIX_IMAGE, &[subcommand, image, "--progress", "none"]);
    for variable in [
        "DOCKER_AUTH_CONFIG",
        "DOCKER_CONFIG",
        "REGISTRY_AUTH_FILE",
        "NETRC",
        "XDG_CONFIG_HOME",
        "XDG_RUNTIME_DIR",
    ] {
        command.env_remove(variable);
    }
    command
}

/// The name for a tag, or for a digest with `sha256:`.
pub(super) fn name(registry: &Registry, tag: &str) -> String {
    let separator = if tag.starts_with("sha256:") { '@' } else { ':' };
    registry.name(&format!("{REPOSITORY}{separator}{tag}"))
}
