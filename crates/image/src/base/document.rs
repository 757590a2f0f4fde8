//! JSON documents. Only the keys that matter here are stored, so nothing else in a document takes
//! memory.

use std::cell::Cell;
use std::fmt;
use std::path::Path;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::{BaseError, MAX_LAYERS};
use formats::digest::Digest;
use oci::annotation::{CONTAINERD_NAME, REF_NAME};

/// Keys that are stored, at any depth.
const KEYS: [&str; 22] = [
    // In a docker-archive's manifest and in configs.
    "Config",
    "Layers",
    "RepoTags",
    "rootfs",
    "diff_ids",
    "config",
    "Env",
    // In the documents of a layout.
    "imageLayoutVersion",
    "schemaVersion",
    "mediaType",
    "manifests",
    "layers",
    "digest",
    "size",
    "platform",
    "architecture",
    "os",
    "variant",
    "annotations",
    REF_NAME,
    CONTAINERD_NAME,
    "urls",
];
/// The limit for stored values; an image has some hundreds.
const MAX_VALUES: usize = 100_000;
/// The key of the object that `serde_json` presents in place of a number other than a small
/// integer.
const NUMBER: &str = "$serde_json::private::Number";

/// Parses a document.
pub(super) fn parse(text: &[u8]) -> serde_json::Result<Value> {
    parse_keys(text, Some(&KEYS))
}

/// Parses a document completely, within the limit for values.
///
/// # Errors
///
/// If it is not JSON, or has too many values.
pub fn parse_whole(text: &[u8]) -> serde_json::Result<Value> {
    parse_keys(text, None)
}

fn parse_keys(text: &[u8], keys: Option<&[&str]>) -> serde_json::Result<Value> {
    let left = Cell::new(MAX_VALUES);
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = Kept { left: &left, keys }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// Parses the document called `name` in the file or directory at `path`.
pub(super) fn parse_named(text: &[u8], path: &Path, name: &str) -> Result<Value, BaseError> {
    parse(text)
        .map_err(|error| Broken(path).document(format!("`{name}` is not valid JSON: {error}")))
}

/// The config's diffIDs, one for each layer.
pub(super) fn diff_ids(
    broken: &Broken<'_>,
    config: &Value,
    layers: usize,
) -> Result<Vec<Digest>, BaseError> {
    let diff_ids = broken.strings(&config["rootfs"]["diff_ids"], "its list of diff_ids")?;
    if layers != diff_ids.len() {
        let ids = diff_ids.len();
        return Err(broken.document(format!("it has {layers} layers, but {ids} diff_ids")));
    }
    if layers > MAX_LAYERS {
        return Err(broken.document(format!("it has {layers} layers, more than engines support")));
    }
    let diff_id = |text: &str| {
        let digest = Digest::from_hex(text.strip_prefix("sha256:").unwrap_or(text));
        digest.map_err(|source| BaseError::DiffId { path: broken.0.to_owned(), source })
    };
    diff_ids.into_iter().map(diff_id).collect()
}

/// The environment variables that a config sets.
pub(super) fn env(broken: &Broken<'_>, config: &Value) -> Result<Vec<String>, BaseError> {
    let env = match &config["config"] {
        Value::Object(config) => config.get("Env").unwrap_or(&Value::Null),
        Value::Null => &Value::Null,
        _ => return Err(broken.document("its `config` is not an object".into())),
    };
    match env {
        Value::Null => Ok(Vec::new()),
        env => Ok(broken.strings(env, "its Env")?.into_iter().map(str::to_owned).collect()),
    }
}

/// Makes errors about the base image at a path.
pub(super) struct Broken<'a>(pub(super) &'a Path);

impl Broken<'_> {
    pub(super) fn string<'a>(&self, value: &'a Value, what: &str) -> Result<&'a str, BaseError> {
        value.as_str().ok_or_else(|| self.document(format!("{what} is not a string")))
    }

    pub(super) fn strings<'a>(
        &self,
        value: &'a Value,
        what: &str,
    ) -> Result<Vec<&'a str>, BaseError> {
        let list = value.as_array().and_then(|list| list.iter().map(Value::as_str).collect());
        list.ok_or_else(|| self.document(format!("{what} is not a list of strings")))
    }

    pub(super) fn document(&self, problem: String) -> BaseError {
        BaseError::Document { path: self.0.to_owned(), problem }
    }
}

/// Deserializes a value with only the relevant keys, and counts down the values still allowed.
#[derive(Clone, Copy)]
struct Kept<'a> {
    left: &'a Cell<usize>,
    keys: Option<&'a [&'a str]>,
}

impl<'de> DeserializeSeed<'de> for Kept<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let left = self.left.get().checked_sub(1);
        let too_many = || D::Error::custom(format!("it has more than {MAX_VALUES} values"));
        self.left.set(left.ok_or_else(too_many)?);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Kept<'_> {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if key == NUMBER {
                let number: String = entries.next_value()?;
                return number.parse().map(Value::Number).map_err(A::Error::custom);
            }
            if self.keys.is_none_or(|keys| keys.contains(&key.as_str())) {
                map.insert(key, entries.next_value_seed(self)?);
            } else {
                entries.next_value::<IgnoredAny>()?;
            }
        }
        Ok(map.into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_matters_is_kept_as_it_stands() {
        let text = r#"[{"Config": "a\u00e9", "Other": [[1]], "Layers": ["x", 1.5e9, null, true],
            "config": {"Env": ["A=1"], "Labels": {"Env": 1}}, "Config": "last"}, 7, {}]"#;
        let number: Value = "1.5e9".parse().unwrap();
        let expected = json!([{"Config": "last", "Layers": ["x", number, null, true],
            "config": {"Env": ["A=1"]}}, 7, {}]);
        assert_eq!(parse(text.as_bytes()).unwrap(), expected);
        for broken in ["", "[1", "{} {}", "[01]", "{\"x\": tru}"] {
            assert!(parse(broken.as_bytes()).is_err(), "{broken}");
        }
    }

    #[test]
    fn values_are_counted_where_they_are_kept() {
        let many = |count: usize| vec!["0"; count].join(",");
        assert!(parse(format!("[{}]", many(MAX_VALUES - 1)).as_bytes()).is_ok());
        let error = parse(format!("[{}]", many(MAX_VALUES)).as_bytes()).unwrap_err();
        assert!(error.to_string().contains("more than 100000 values"), "{error}");
        assert!(parse(format!("{{\"x\": [{}]}}", many(2 * MAX_VALUES)).as_bytes()).is_ok());
    }
}
