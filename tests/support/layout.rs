//! OCI layouts, written blob by blob as a test needs them.

use super::sha256;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The form of a layer in a layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Plain,
    Gzip,
    Zstd,
}

/// The files of a layout, by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layout {
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    pub(crate) entries: Vec<Value>,
}

impl Form {
    pub(crate) const ALL: [Self; 3] = [Self::Plain, Self::Gzip, Self::Zstd];

    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Plain => "application/vnd.oci.image.layer.v1.tar",
            Self::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
            Self::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
        }
    }

    pub(crate) fn pack(self, tar: &[u8]) -> Vec<u8> {
        match self {
            Self::Plain => tar.to_vec(),
            Self::Gzip => crate::bad_input::gzip(tar),
            Self::Zstd => zstd::encode_all(tar, 1).unwrap(),
        }
    }
}

impl Layout {
    /// Adds a blob, and returns its descriptor.
    pub(crate) fn blob(&mut self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = sha256(bytes);
        self.files.insert(format!("blobs/sha256/{digest}"), bytes.to_vec());
        json!({"mediaType": media_type, "digest": format!("sha256:{digest}"), "size": bytes.len()})
    }

    /// Adds an image of these layers, without an entry, and returns its descriptor.
    pub(crate) fn image(&mut self, layers: &[(Form, &[u8])], env: &[&str]) -> Value {
        let diff_ids: Vec<_> =
            layers.iter().map(|(_, tar)| format!("sha256:{}", sha256(tar))).collect();
        let config = json!({
            "architecture": "amd64", "os": "linux", "config": {"Env": env},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        let layers = layers.iter();
        let layers: Vec<_> =
            layers.map(|(form, tar)| self.blob(form.media_type(), &form.pack(tar))).collect();
        self.image_of(&config, &layers)
    }

    /// Adds an image with this config and these layers, and returns its descriptor.
    pub(crate) fn image_of(&mut self, config: &Value, layers: &[Value]) -> Value {
        let config = config.to_string();
        let config = self.blob("application/vnd.oci.image.config.v1+json", config.as_bytes());
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        let manifest = json!({
            "schemaVersion": 2, "mediaType": media_type, "config": config, "layers": layers,
        });
        self.blob(media_type, manifest.to_string().as_bytes())
    }

    /// Adds an index of these descriptors, and returns the index's own.
    pub(crate) fn index(&mut self, manifests: &[Value]) -> Value {
        let media_type = "application/vnd.oci.image.index.v1+json";
        let index = json!({"schemaVersion": 2, "mediaType": media_type, "manifests": manifests});
        self.blob(media_type, index.to_string().as_bytes())
    }

    /// Adds an entry to the layout's own index.
    pub(crate) fn entry(&mut self, mut descriptor: Value, name: Option<&str>) {
        if let Some(name) = name {
            descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": name});
        }
        self.entries.push(descriptor);
    }

    /// All files, including the marker and the index.
    pub(crate) fn all_files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = self.files.clone();
        let index = json!({"schemaVersion": 2, "manifests": self.entries});
        files.insert("oci-layout".into(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec());
        files.insert("index.json".into(), index.to_string().into_bytes());
        files
    }

    /// Writes the layout into a directory.
    pub(crate) fn write(&self, directory: &Path) {
        fs::create_dir_all(directory.join("blobs/sha256")).unwrap();
        for (name, content) in self.all_files() {
            fs::write(directory.join(name), content).unwrap();
        }
    }

    /// The layout as an archive. The prefix of names is "./" if made with `tar .`, or empty.
    pub(crate) fn archive(&self, prefix: &str) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, content) in self.all_files() {
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            let name = format!("{prefix}{name}");
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            tar.append(&header, &content[..]).unwrap();
        }
        tar.into_inner().unwrap()
    }
}

/// Adds a platform to a descriptor.
pub(crate) fn on(mut descriptor: Value, architecture: &str) -> Value {
    descriptor["platform"] = json!({"architecture": architecture, "os": "linux"});
    descriptor
}
