//! Annotations: optional metadata of images and layers.

use std::collections::BTreeMap;

use serde_json::Value;

/// Annotations, sorted by key.
pub type Annotations = BTreeMap<String, String>;

/// The prefix of the specification's annotations.
const PREFIX: &str = "org.opencontainers.image.";
/// When the image was created.
pub const CREATED: &str = "org.opencontainers.image.created";
/// The tag of an entry in a layout's index.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// An image's full name, which containerd looks for in an archive's index.
pub const CONTAINERD_NAME: &str = "io.containerd.image.name";
/// The store paths in a layer: their names in the store, separated by spaces.
pub const STORE_PATHS: &str = "nix-image.store-paths";

/// Maximum bytes of [`STORE_PATHS`] per layer: a manifest may have four MiB, and an image 127
/// layers.
const MAX_STORE_PATHS: usize = 8 << 10;

/// A manifest's annotations for an image with this config: its creation time, and those of
/// its labels that the specification defines as annotations. The tag is left out: it belongs in
/// indexes only, and a label with it comes from a base image.
pub fn of_image(config: &Value) -> Annotations {
    let created = config["created"].as_str().map(|created| (CREATED, created));
    let labels = config["config"]["Labels"].as_object().into_iter().flatten();
    let labels = labels.filter(|(key, _)| key.starts_with(PREFIX) && *key != REF_NAME);
    let labels = labels.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)));
    created.into_iter().chain(labels).map(|(key, value)| (key.into(), value.into())).collect()
}

/// A manifest's annotations for a layer of these store paths, given by their names in the store.
/// Names that do not fit are counted, as in `a-x b-y +12`.
pub fn of_store_paths<'a>(names: impl Iterator<Item = &'a str>) -> Annotations {
    let names = bounded(names, MAX_STORE_PATHS);
    let annotation = (!names.is_empty()).then(|| (STORE_PATHS.into(), names));
    annotation.into_iter().collect()
}

fn bounded<'a>(names: impl Iterator<Item = &'a str>, limit: usize) -> String {
    let mut text = String::new();
    let mut left_out = 0;
    for name in names {
        if left_out > 0 || text.len() + 1 + name.len() > limit {
            left_out += 1;
            continue;
        }
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(name);
    }
    match (left_out, text.is_empty()) {
        (0, _) => text,
        (_, true) => format!("+{left_out}"),
        (_, false) => format!("{text} +{left_out}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_the_specification_are_annotations() {
        let config = serde_json::json!({
            "created": "1970-01-01T00:00:01+00:00",
            "config": {"Labels": {
                "org.opencontainers.image.source": "https://example.org/app",
                "org.opencontainers.image.ref.name": "ubuntu",
                "org.opencontainers.image.version": 1,
                "maintainer": "me",
            }},
        });
        let found = of_image(&config);
        let expected = [
            ("org.opencontainers.image.created", "1970-01-01T00:00:01+00:00"),
            ("org.opencontainers.image.source", "https://example.org/app"),
        ];
        let found: Vec<_> = found.iter().map(|(key, value)| (&**key, &**value)).collect();
        assert_eq!(found, expected);
        for bare in [serde_json::json!({}), serde_json::json!({"config": null, "created": 1})] {
            assert!(of_image(&bare).is_empty());
        }
    }

    #[test]
    fn names_that_do_not_fit_are_counted() {
        for (names, limit, expected) in [
            (&["a", "b"][..], 9, "a b"),
            (&["a", "bbbbbbbbbb", "c"], 9, "a +2"),
            (&["aaaaaaaaaa"], 9, "+1"),
            (&[], 9, ""),
        ] {
            assert_eq!(bounded(names.iter().copied(), limit), expected);
        }
    }
}
