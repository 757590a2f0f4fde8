//! The image's config and manifest, byte for byte as nixpkgs' script writes them.

use serde_json::{Map, Value, json};

use super::Image;
use formats::digest::Digest;
use formats::python;
use oci::Platform;

/// The operating system of every image.
pub(super) const OS: &str = "linux";

impl Image {
    /// The config for layers with these diffIDs; its digest is the image ID. An image in an archive
    /// or layout keeps its own config, as it keeps its layers.
    #[doc(hidden)]
    pub fn config_json(&self, diff_ids: &[Digest]) -> String {
        if let Some(finished) = &self.finished {
            return finished.clone();
        }
        let history = self.layers.iter().zip(diff_ids).map(|(layer, diff_id)| {
            let origins = layer.origins_in_history(diff_id);
            let comment = format!("store paths: {}", python::repr::list_of_str(&origins));
            json!({"created": self.created, "comment": comment})
        });
        let history = history.collect::<Vec<_>>();
        let diff_ids: Vec<_> = diff_ids.iter().map(ToString::to_string).collect();
        python::json::dumps(&json!({
            "created": self.created,
            "architecture": self.architecture,
            "os": OS,
            "config": self.config,
            "rootfs": {"diff_ids": diff_ids, "type": "layers"},
            "history": history,
        }))
    }

    /// The image's platform.
    #[doc(hidden)]
    pub fn platform(&self) -> Platform {
        Platform { architecture: self.architecture.clone(), os: OS.into() }
    }

    /// The docker-archive's manifest, which names the members with the config and the layers.
    #[doc(hidden)]
    pub fn manifest_json(&self, config: &str, layers: &[String]) -> String {
        python::json::dumps(&json!([{
            "Config": config,
            "RepoTags": [self.repo_tag],
            "Layers": layers,
        }]))
    }
}

/// The conf's `config` with the environment variables of the base image added. Of variables with
/// the same name, the last one counts, in the position of the first. Without a base image, `config`
/// is returned unchanged.
pub(super) fn overlay(inherited: Option<Vec<String>>, config: Value) -> Value {
    let Some(inherited) = inherited else { return config };
    let own = config["Env"].as_array();
    let own = own.into_iter().flatten().filter_map(Value::as_str);
    let mut variables: Map<String, Value> = Map::new();
    for variable in inherited.iter().map(String::as_str).chain(own) {
        let name = variable.split_once('=').map_or(variable, |(name, _)| name);
        variables.insert(name.into(), variable.into());
    }
    let mut config = if config.is_null() { json!({}) } else { config };
    if !variables.is_empty() {
        config["Env"] = variables.into_iter().map(|(_, variable)| variable).collect();
    }
    config
}
