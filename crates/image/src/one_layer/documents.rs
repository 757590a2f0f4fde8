//! The documents of an image of one layer, in the format of the jq and jshon calls in nixpkgs'
//! buildImage.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::OneLayerError;
use crate::bounded;
use formats::digest::Digest;
use formats::json;

/// The content of a layer's file `VERSION`, without a newline.
pub(super) const VERSION: &str = "1.0";

/// The largest document that is read; other tools have the same limit.
pub(super) const MAX_DOCUMENT: u64 = 4 << 20;

/// Reads a file with a JSON object.
pub(super) fn read_object(path: &Path) -> Result<Map<String, Value>, OneLayerError> {
    let text = bounded::read_file(path).map_err(OneLayerError::io("read", path))?;
    let problem = match serde_json::from_slice(&text) {
        Ok(Value::Object(object)) => return Ok(object),
        Ok(_) => "it is not a JSON object".to_owned(),
        Err(error) => format!("it is not valid JSON: {error}"),
    };
    Err(OneLayerError::Document { path: path.to_owned(), problem })
}

/// The layer's own description: the one `pack` wrote, with the parent image (if any), the ID, and
/// the size in bytes.
pub(super) struct LayerDocument {
    /// The layer's ID, which names its directory in the archive.
    pub(super) id: String,
    object: Map<String, Value>,
}

impl LayerDocument {
    pub(super) fn new(mut object: Map<String, Value>, parent: Option<&str>) -> Self {
        if let Some(parent) = parent {
            object.insert("parent".into(), parent.into());
        }
        let text = json::jshon(&Value::Object(object.clone()));
        let id = Digest::of(text.as_bytes()).hex();
        object.insert("id".into(), id.clone().into());
        Self { id, object }
    }

    pub(super) fn text(mut self, size: u64) -> String {
        self.object.insert("Size".into(), size.into());
        json::jshon(&Value::Object(self.object))
    }
}

/// The image's config: its description, with the base's environment variables and the layers'
/// diffIDs.
pub(super) fn config(
    mut description: Map<String, Value>,
    base_env: &[Value],
    diff_ids: &[Digest],
) -> Result<String, String> {
    let created = description.get("created").cloned().unwrap_or(Value::Null);
    let config = description.entry("config").or_insert(Value::Null);
    if config.is_null() {
        *config = Value::Object(Map::new());
    }
    let config = config.as_object_mut().ok_or("its `config` is not an object")?;
    let mut env = base_env.to_vec();
    match config.get("Env") {
        None | Some(Value::Null) => {}
        Some(Value::Array(own)) => env.extend_from_slice(own),
        Some(_) => return Err("its `config.Env` is not a list".into()),
    }
    config.insert("Env".into(), env.into());
    let diff_ids: Vec<_> = diff_ids.iter().map(Digest::to_string).collect();
    let history = vec![json!({ "created": created }); diff_ids.len()];
    description.insert("rootfs".into(), json!({ "diff_ids": diff_ids, "type": "layers" }));
    description.insert("history".into(), history.into());
    Ok(json::jq(&Value::Object(description)))
}

/// `manifest.json`.
pub(super) fn manifest(repo_tag: &str, layers: &[String], config: &str) -> String {
    json::jq(&json!([{ "RepoTags": [repo_tag], "Layers": layers, "Config": config }]))
}

/// `repositories`, which old engines read.
pub(super) fn repositories(name: &str, tag: &str, layer: &str) -> String {
    json::jshon(&json!({ name: { tag: layer } }))
}
