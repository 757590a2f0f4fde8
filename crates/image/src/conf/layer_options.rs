//! The contents of a store layer beyond its store paths: files copied into the root, and changed
//! modes and owners. The keys are those of the Nix functions' arguments.

use regex::bytes::Regex;
use serde_json::{Map, Value};

use super::ConfError;
use super::fields::{list_of_strings, string, wrong_type};
use crate::layer::Permission;
use formats::python::number;

/// What one of a conf's store layers contains in addition to its store paths.
#[derive(Clone, Debug, Default)]
pub struct LayerOptions {
    /// The index of the layer in [`Conf::store_layers`](super::Conf::store_layers).
    pub layer: usize,
    /// Store paths whose directories' contents are copied into the image's root. They are merged;
    /// only directories may be in more than one of them.
    pub copy_to_root: Vec<String>,
    /// Modes and owners of some of the layer's entries.
    pub permissions: Vec<Permission>,
}

/// The key of the options in a conf.
const KEY: &str = "layer_options";

impl LayerOptions {
    /// Reads the options of an image with this many store `layers`.
    ///
    /// # Errors
    ///
    /// If a key is unknown, a value has the wrong type or is not a valid regular expression, mode
    /// or number, or a layer does not exist.
    pub(crate) fn parse(value: Value, layers: usize) -> Result<Vec<Self>, ConfError> {
        let options = list(KEY, value, Self::parse_one)?;
        let mut next = 0;
        for (index, options) in options.iter().enumerate() {
            if !(next..layers).contains(&options.layer) {
                let (key, value) = (format!("{KEY}[{index}].layer"), options.layer.to_string());
                return Err(ConfError::Layer { key, layers, value });
            }
            next = options.layer + 1;
        }
        Ok(options)
    }

    fn parse_one(key: &str, value: Value) -> Result<Self, ConfError> {
        let mut fields = object(key, value)?;
        let layer = fields.remove("layer").unwrap_or(Value::Null);
        let number = layer.as_u64().and_then(|layer| layer.try_into().ok());
        let number = number.ok_or_else(|| {
            wrong_type(&format!("{key}.layer"), "the number of a store layer", &layer)
        })?;
        let copied = fields
            .remove("copy_to_root")
            .map(|value| list_of_strings(&format!("{key}.copy_to_root"), value));
        let permissions =
            fields.remove("perms").map(|value| list(&format!("{key}.perms"), value, permission));
        nothing_else(key, &fields, "layer, copy_to_root and perms")?;
        Ok(Self {
            layer: number,
            copy_to_root: copied.transpose()?.unwrap_or_default(),
            permissions: permissions.transpose()?.unwrap_or_default(),
        })
    }
}

fn permission(key: &str, value: Value) -> Result<Permission, ConfError> {
    let mut fields = object(key, value)?;
    let mut text = |name: &str| match fields.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => string(&format!("{key}.{name}"), value).map(Some),
    };
    let path = text("path")?;
    let path =
        path.ok_or_else(|| wrong_type(&format!("{key}.path"), "a store path", &Value::Null))?;
    let regex = text("regex")?.unwrap_or_default();
    let mode = text("mode")?;
    let (uname, gname) = (text("uname")?, text("gname")?);
    let mut id = |name: &str| match fields.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => id(&format!("{key}.{name}"), &value).map(Some),
    };
    let (uid, gid) = (id("uid")?, id("gid")?);
    nothing_else(key, &fields, "path, regex, mode, uid, gid, uname and gname")?;
    let regex = Regex::new(&regex).map_err(|source| ConfError::Regex {
        key: format!("{key}.regex"),
        value: regex,
        source: source.into(),
    })?;
    let mode = mode.map(|mode| octal(&format!("{key}.mode"), mode)).transpose()?;
    Ok(Permission { path, regex, mode, uid, gid, uname, gname })
}

fn octal(key: &str, text: String) -> Result<u16, ConfError> {
    let digits = text.bytes().all(|digit| digit.is_ascii_digit());
    match u16::from_str_radix(&text, 8) {
        Ok(mode) if digits && mode <= 0o7777 => Ok(mode),
        _ => Err(ConfError::Mode { key: key.to_owned(), value: text }),
    }
}

fn id(key: &str, value: &Value) -> Result<i64, ConfError> {
    let number = match value {
        Value::String(text) => number::int(text).and_then(|number| number.try_into().ok()),
        value => value.as_i64(),
    };
    number.filter(|id| *id >= 0).ok_or_else(|| wrong_type(key, "a whole number", value))
}

/// A list whose items are read by `read`, which is passed each item's key.
fn list<T>(
    key: &str,
    value: Value,
    read: impl Fn(&str, Value) -> Result<T, ConfError>,
) -> Result<Vec<T>, ConfError> {
    let Value::Array(items) = value else {
        return Err(wrong_type(key, "a list of objects", &value));
    };
    let item = |(index, item)| read(&format!("{key}[{index}]"), item);
    items.into_iter().enumerate().map(item).collect()
}

fn object(key: &str, value: Value) -> Result<Map<String, Value>, ConfError> {
    match value {
        Value::Object(fields) => Ok(fields),
        other => Err(wrong_type(key, "an object", &other)),
    }
}

/// Ignoring an option would build a different image than intended.
fn nothing_else(
    key: &str,
    fields: &Map<String, Value>,
    known: &'static str,
) -> Result<(), ConfError> {
    match fields.keys().next() {
        None => Ok(()),
        Some(name) => Err(ConfError::Unknown { key: format!("{key}.{name}"), known }),
    }
}
