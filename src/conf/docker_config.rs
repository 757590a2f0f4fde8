//! Checks the types in an image's `config`, on which an engine would fail only when it loads or
//! runs the image. The fields are those of the OCI image configuration and Docker's additions;
//! null means absent in each of them, and unknown ones are let through.

use serde_json::{Map, Value};

use super::ConfError;
use super::fields::wrong_type;

#[derive(Clone, Copy)]
enum Kind {
    String,
    Strings,
    Boolean,
    Number,
    /// An object whose values are objects, most often empty.
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
    ("Cmd", Kind::Strings),
    ("Entrypoint", Kind::Strings),
    ("Env", Kind::Strings),
    ("OnBuild", Kind::Strings),
    ("Shell", Kind::Strings),
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

pub(super) fn check(config: &Map<String, Value>) -> Result<(), ConfError> {
    for &(name, kind) in FIELDS {
        if let Some(value) = config.get(name) {
            kind.check(&format!("config.{name}"), value)?;
        }
    }
    Ok(())
}

impl Kind {
    fn check(self, key: &str, value: &Value) -> Result<(), ConfError> {
        match (self, value) {
            (_, Value::Null)
            | (Self::String, Value::String(_))
            | (Self::Boolean, Value::Bool(_))
            | (Self::Number, Value::Number(_))
            | (Self::Object, Value::Object(_)) => Ok(()),
            (Self::Strings, Value::Array(items)) => {
                let mut items = items.iter().enumerate();
                items.try_for_each(|(index, item)| match item {
                    Value::String(_) => Ok(()),
                    other => Err(wrong_type(&format!("{key}[{index}]"), "a string", other)),
                })
            }
            (Self::Set | Self::Labels, Value::Object(map)) => {
                let inner = if matches!(self, Self::Set) { Self::Object } else { Self::String };
                map.iter()
                    .try_for_each(|(name, value)| inner.check(&format!("{key}.{name}"), value))
            }
            _ => Err(wrong_type(key, self.expected(), value)),
        }
    }

    fn expected(self) -> &'static str {
        match self {
            Self::String => "a string",
            Self::Strings => "a list of strings",
            Self::Boolean => "true or false",
            Self::Number => "a number",
            Self::Set => "an object such as {\"8080/tcp\": {}}",
            Self::Labels => "an object of strings",
            Self::Object => "an object",
        }
    }
}
