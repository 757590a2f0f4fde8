//! Checks the types in an image's `config`. The fields are those of the OCI image config and
//! Docker's additions. Each may be null, which means absent, and unknown ones are allowed.
//!
//! The image gets what the conf says, as with nixpkgs' script. Values that make an engine fail to
//! load or run the image cause a warning; those that cannot be combined with a base image are an
//! error.

use serde_json::Value;

use super::ConfError;
use super::fields::{describe, wrong_type};

#[derive(Clone, Copy)]
enum Kind {
    String,
    Strings,
    /// Strings, or one string, which Docker treats as a list of one.
    Words,
    Boolean,
    Number,
    /// An object whose values are objects, usually empty.
    Set,
    Labels,
    Object,
}

const FIELDS: &[(&str, Kind)] = &[
    ("User", Kind::String),
    ("WorkingDir", Kind::String),
    ("StopSignal", Kind::String),
    ("Hostname", Kind::String),
    ("Domainname", Kind::String),
    ("Image", Kind::String),
    ("MacAddress", Kind::String),
    ("Cmd", Kind::Words),
    ("Entrypoint", Kind::Words),
    ("Shell", Kind::Words),
    ("Env", Kind::Strings),
    ("OnBuild", Kind::Strings),
    ("ExposedPorts", Kind::Set),
    ("Volumes", Kind::Set),
    ("Labels", Kind::Labels),
    ("Healthcheck", Kind::Object),
    ("StopTimeout", Kind::Number),
    ("ArgsEscaped", Kind::Boolean),
    ("AttachStderr", Kind::Boolean),
    ("AttachStdin", Kind::Boolean),
    ("AttachStdout", Kind::Boolean),
    ("NetworkDisabled", Kind::Boolean),
    ("OpenStdin", Kind::Boolean),
    ("StdinOnce", Kind::Boolean),
    ("Tty", Kind::Boolean),
];

/// A value of the wrong type.
struct Wrong<'a> {
    key: String,
    kind: Kind,
    found: &'a Value,
}

/// A warning for each field that engines cannot read as written.
pub(super) fn warnings(config: &Value) -> Vec<String> {
    let object = Wrong { key: "config".into(), kind: Kind::Object, found: config };
    match config {
        Value::Null => Vec::new(),
        Value::Object(config) => {
            let field = |&(name, kind): &(&str, Kind)| {
                wrong(format!("config.{name}"), kind, config.get(name)?)
            };
            FIELDS.iter().filter_map(field).map(|wrong| wrong.warning()).collect()
        }
        _ => vec![object.warning()],
    }
}

/// Whether a base image's variables can be added to the config.
pub(super) fn check_for_base(config: &Value) -> Result<(), ConfError> {
    match config {
        Value::Null => Ok(()),
        Value::Object(config) => {
            let env = config.get("Env").unwrap_or(&Value::Null);
            match wrong("config.Env".into(), Kind::Strings, env) {
                Some(Wrong { key, kind, found }) => Err(wrong_type(&key, kind.expected(), found)),
                None => Ok(()),
            }
        }
        other => Err(wrong_type("config", Kind::Object.expected(), other)),
    }
}

/// The first value, at or below `key`, that is not of this kind.
fn wrong(key: String, kind: Kind, value: &Value) -> Option<Wrong<'_>> {
    match (kind, value) {
        (_, Value::Null)
        | (Kind::String, Value::String(_))
        | (Kind::Boolean, Value::Bool(_))
        | (Kind::Number, Value::Number(_))
        | (Kind::Object, Value::Object(_)) => None,
        (Kind::Strings | Kind::Words, Value::Array(items)) => {
            let (index, found) = items.iter().enumerate().find(|(_, item)| !item.is_string())?;
            Some(Wrong { key: format!("{key}[{index}]"), kind: Kind::String, found })
        }
        (Kind::Set | Kind::Labels, Value::Object(map)) => {
            let inner = if matches!(kind, Kind::Set) { Kind::Object } else { Kind::String };
            map.iter().find_map(|(name, value)| wrong(format!("{key}.{name}"), inner, value))
        }
        (_, found) => Some(Wrong { key, kind, found }),
    }
}

impl Wrong<'_> {
    fn warning(&self) -> String {
        let Self { key, kind, found } = self;
        let consequence = match (kind, found) {
            (Kind::Words, Value::String(_)) => {
                "docker treats it as a list of one; other engines reject the image"
            }
            _ => "engines reject the image",
        };
        let (expected, found) = (kind.expected(), describe(found));
        format!("`{key}` should be {expected}, but it is {found}; {consequence}")
    }
}

impl Kind {
    fn expected(self) -> &'static str {
        match self {
            Self::String => "a string",
            Self::Strings | Self::Words => "a list of strings",
            Self::Boolean => "true or false",
            Self::Number => "a number",
            Self::Set => "an object such as {\"8080/tcp\": {}}",
            Self::Labels => "an object of strings",
            Self::Object => "an object",
        }
    }
}
