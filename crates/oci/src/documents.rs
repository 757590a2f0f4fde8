//! All documents of one image.

use super::{Annotations, Descriptor, Flavor, Manifest, Platform};

/// An image's config and manifest, and the descriptor that refers to the manifest in an
/// index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Documents {
    /// The config.
    pub config: String,
    /// The manifest.
    pub manifest: String,
    /// The descriptor of the config.
    pub config_descriptor: Descriptor,
    /// The descriptor of the manifest.
    pub descriptor: Descriptor,
}

impl Documents {
    /// The documents of an image with this config and these layers.
    pub fn new(
        flavor: Flavor,
        config: String,
        layers: Vec<Descriptor>,
        platform: Platform,
        annotations: Annotations,
    ) -> Self {
        let config_descriptor = Descriptor::of(flavor.config(), config.as_bytes());
        let manifest = Manifest { flavor, config: config_descriptor.clone(), layers, annotations };
        let manifest = manifest.to_json();
        let mut descriptor = Descriptor::of(flavor.manifest(), manifest.as_bytes());
        descriptor.platform = Some(platform);
        Self { config, manifest, config_descriptor, descriptor }
    }
}
