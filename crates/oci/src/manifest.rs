//! Image manifests: the config and the layers.

use serde_json::{Map, Value, json};

use super::descriptor::annotations;
use super::{Annotations, Descriptor, DocumentError, Flavor, parse};

/// The manifest of one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Whose media types it uses.
    pub flavor: Flavor,
    /// The config.
    pub config: Descriptor,
    /// The layers, lowest first.
    pub layers: Vec<Descriptor>,
    /// Optional metadata; Docker's manifests have none.
    pub annotations: Annotations,
}

/// Maximum number of layers that is parsed; engines accept at most 127.
const MAX_LAYERS: usize = 4096;

impl Manifest {
    /// The JSON document.
    pub fn to_json(&self) -> String {
        let mut value = Map::new();
        value.insert("schemaVersion".into(), 2.into());
        value.insert("mediaType".into(), self.flavor.manifest().into());
        value.insert("config".into(), self.config.to_value());
        let layers = self.layers.iter().map(Descriptor::to_value);
        value.insert("layers".into(), layers.collect());
        if !self.annotations.is_empty() {
            value.insert("annotations".into(), json!(self.annotations));
        }
        Value::Object(value).to_string()
    }

    /// Parses a manifest from a registry or layout. `media_type` is the announced media type, for
    /// manifests that do not contain their own.
    pub fn parse(bytes: &[u8], media_type: Option<&str>) -> Result<Self, DocumentError> {
        let value = parse(bytes)?;
        let own = value["mediaType"].as_str().or(media_type).unwrap_or(Flavor::Oci.manifest());
        let flavor = Flavor::of_manifest(own).ok_or_else(|| {
            let expected = "an image manifest's";
            DocumentError::field("mediaType", expected, Some(&own.into()))
        })?;
        let layers = value["layers"].as_array().filter(|layers| layers.len() <= MAX_LAYERS);
        let layers = layers.ok_or_else(|| {
            DocumentError::field("layers", "a list of at most 4096", value.get("layers"))
        })?;
        Ok(Self {
            flavor,
            config: Descriptor::parse(&value["config"])?,
            layers: layers.iter().map(Descriptor::parse).collect::<Result<_, _>>()?,
            annotations: annotations(&value),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Compression, MAX_DOCUMENT};
    use formats::digest::Digest;

    fn manifest(flavor: Flavor) -> Manifest {
        let mut layer =
            Descriptor::new(flavor.layer(Compression::Zstd), Digest::of(b"layer"), u64::MAX);
        layer.annotations.insert("b".into(), "\"".into());
        layer.annotations.insert("a".into(), "é".into());
        Manifest {
            flavor,
            config: Descriptor::of(flavor.config(), b"{}"),
            layers: vec![layer],
            annotations: Annotations::new(),
        }
    }

    #[test]
    fn keys_stand_in_the_order_of_the_specification() {
        let json = manifest(Flavor::Oci).to_json();
        let expected = concat!(
            r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","#,
            r#""config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"#,
            r#""sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","#,
            r#""size":2},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+zstd","#,
            r#""digest":"sha256:"#,
        );
        assert!(json.starts_with(expected), "{json}");
        assert!(json.ends_with(r#""annotations":{"a":"é","b":"\""}}]}"#), "{json}");
    }

    #[test]
    fn manifests_are_read_as_they_were_written() {
        for flavor in [Flavor::Oci, Flavor::Docker] {
            let manifest = manifest(flavor);
            assert_eq!(Manifest::parse(manifest.to_json().as_bytes(), None).unwrap(), manifest);
        }
    }

    #[test]
    fn hostile_manifests_are_refused() {
        let good = manifest(Flavor::Oci).to_json();
        let large = " ".repeat(MAX_DOCUMENT as usize) + &good;
        for (bad, reason) in [
            (String::new(), "JSON"),
            (large, "bytes"),
            ("[".repeat(100_000), "JSON"),
            ("[]".into(), "layers"),
            (good.replace("manifest.v1", "index.v1"), "mediaType"),
            (good.replace("sha256:", "sha512:"), "digest"),
            (good.replace("sha256:", "sha256:../"), "digest"),
            (good.replace("\"size\":2", "\"size\":-2"), "size"),
            (good.replace("\"size\":2", "\"size\":1e99"), "size"),
            (format!("{{\"layers\":[{}0]}}", "0,".repeat(5000)), "layers"),
        ] {
            let error = Manifest::parse(bad.as_bytes(), None).unwrap_err();
            assert!(error.to_string().contains(reason), "{reason}: {error}");
        }
    }
}
