//! The members that skopeo writes for readers of Docker's oldest format, in which each layer is a
//! separate image: `<id>/layer.tar`, `<id>/VERSION` and `<id>/json`.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use formats::digest::Digest;
use formats::go_json;

/// The content of `<id>/VERSION`.
pub(super) const VERSION: &[u8] = b"1.0";
/// The fields of the image's config that the top layer's document contains.
const FROM_CONFIG: [&str; 7] =
    ["architecture", "config", "container", "container_config", "created", "docker_version", "os"];

/// A layer in Docker's oldest format.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LegacyLayer {
    /// Its name: 64 hexadecimal digits.
    pub(super) id: String,
    /// The content of `<id>/json`.
    pub(super) json: String,
}

/// The fields of a config, each with its value as unparsed JSON. If a field occurs more than once,
/// the last one counts.
pub(super) fn config_fields(
    config: &[u8],
) -> Result<BTreeMap<String, &RawValue>, serde_json::Error> {
    serde_json::from_slice(config)
}

/// The layers of an image with these diffIDs and this config, lowest first.
///
/// A layer's ID is the digest of its document with `layer_id`, the chainID, instead of `id`.
pub(super) fn layers(
    diff_ids: &[Digest],
    config: &[u8],
) -> Result<Vec<LegacyLayer>, serde_json::Error> {
    let mut layers: Vec<LegacyLayer> = Vec::with_capacity(diff_ids.len());
    let mut chain_id: Option<Digest> = None;
    for (index, diff_id) in diff_ids.iter().enumerate() {
        // Sorted by name, as Go writes a map.
        let mut fields = BTreeMap::new();
        if let Some(parent) = layers.last() {
            fields.insert("parent", quoted(&parent.id));
        }
        if index == diff_ids.len() - 1 {
            let config = config_fields(config)?;
            fields.extend(FROM_CONFIG.map(|name| {
                (name, config.get(name).map_or("null".into(), |text| go_json::compact(text.get())))
            }));
        }
        let chain = match chain_id {
            None => *diff_id,
            Some(below) => Digest::of(format!("{below} {diff_id}").as_bytes()),
        };
        chain_id = Some(chain);
        fields.insert("layer_id", quoted(&chain.to_string()));
        let id = Digest::of(object(&fields).as_bytes()).hex();
        fields.remove("layer_id");
        fields.insert("id", quoted(&id));
        layers.push(LegacyLayer { json: object(&fields), id });
    }
    Ok(layers)
}

/// A JSON string; the text must need no escapes.
fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

fn object(fields: &BTreeMap<&str, String>) -> String {
    let fields: Vec<_> =
        fields.iter().map(|(name, value)| format!("{}:{value}", quoted(name))).collect();
    format!("{{{}}}", fields.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_hold_the_parent_and_at_last_the_config() {
        let diff_ids = [Digest::of(b"1"), Digest::of(b"2")];
        let config = br#" {"os": "linux", "rootfs": {}, "created":null,
            "config": {"b": "<", "a": [1, 2.0]}, "os" : "other"} "#;
        let [lower, upper] = &layers(&diff_ids, config).unwrap()[..] else { panic!() };
        assert_eq!(lower.json, format!(r#"{{"id":"{}"}}"#, lower.id));
        let hashed = format!(r#"{{"layer_id":"{}"}}"#, diff_ids[0]);
        assert_eq!(lower.id, Digest::of(hashed.as_bytes()).hex());
        let expected = format!(
            r#"{{"architecture":null,"config":{{"b":"\u003c","a":[1,2.0]}},"container":null,"container_config":null,"created":null,"docker_version":null,"id":"{}","os":"other","parent":"{}"}}"#,
            upper.id, lower.id
        );
        assert_eq!(upper.json, expected);
        assert_eq!(layers(&[], b"no JSON").unwrap(), []);
        assert!(layers(&diff_ids, b"[]").is_err());
    }
}
