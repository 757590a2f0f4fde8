//! Extracts typed values from a JSON object.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::ConfError;
use formats::python::number;
use formats::python::time::DateTime;

/// The conf's JSON object. Known keys are taken out, so what is left is unknown.
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    pub(super) fn new(value: Value) -> Result<Self, ConfError> {
        match value {
            Value::Object(map) => Ok(Self(map)),
            other => Err(ConfError::NotAnObject(describe(&other))),
        }
    }

    pub(super) fn take(&mut self, key: &str) -> Option<Value> {
        self.0.shift_remove(key)
    }

    /// A required value.
    pub(super) fn require<T>(
        &mut self,
        key: &'static str,
        get: impl FnOnce(&mut Self, &'static str) -> Result<Option<T>, ConfError>,
    ) -> Result<T, ConfError> {
        get(self, key)?.ok_or(ConfError::Missing(key))
    }

    pub(super) fn string(&mut self, key: &'static str) -> Result<Option<String>, ConfError> {
        self.take(key).map(|value| string(key, value)).transpose()
    }

    pub(super) fn string_or_null(
        &mut self,
        key: &'static str,
    ) -> Result<Option<String>, ConfError> {
        match self.take(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(string)) => Ok(Some(string)),
            Some(other) => Err(wrong_type(key, "a string or null", &other)),
        }
    }

    pub(super) fn lists_of_strings(
        &mut self,
        key: &'static str,
    ) -> Result<Option<Vec<Vec<String>>>, ConfError> {
        let lists = match self.take(key) {
            None => return Ok(None),
            Some(Value::Array(lists)) => lists,
            Some(other) => return Err(wrong_type(key, "a list of lists of strings", &other)),
        };
        let list = |(index, value)| list_of_strings(&format!("{key}[{index}]"), value);
        lists.into_iter().enumerate().map(list).collect::<Result<_, _>>().map(Some)
    }

    pub(super) fn map_of_strings(
        &mut self,
        key: &'static str,
    ) -> Result<Option<HashMap<String, String>>, ConfError> {
        self.map_of(key, string)
    }

    pub(super) fn map_of_lists(
        &mut self,
        key: &'static str,
    ) -> Result<Option<HashMap<String, Vec<String>>>, ConfError> {
        self.map_of(key, list_of_strings)
    }

    fn map_of<T>(
        &mut self,
        key: &'static str,
        read: fn(&str, Value) -> Result<T, ConfError>,
    ) -> Result<Option<HashMap<String, T>>, ConfError> {
        let map = match self.take(key) {
            None => return Ok(None),
            Some(Value::Object(map)) => map,
            Some(other) => return Err(wrong_type(key, "an object", &other)),
        };
        let entry = |(name, value)| {
            let value = read(&format!("{key}.{name}"), value)?;
            Ok((name, value))
        };
        map.into_iter().map(entry).collect::<Result<_, _>>().map(Some)
    }

    /// A whole number, as Python's `int()` takes it: Nix writes it as a string.
    pub(super) fn number(&mut self, key: &'static str) -> Result<Option<i64>, ConfError> {
        let text = match self.take(key) {
            None => return Ok(None),
            Some(Value::String(text)) => text,
            Some(Value::Number(number)) => number.to_string(),
            Some(other) => return Err(wrong_type(key, "a whole number", &other)),
        };
        let number = number::int(&text).and_then(|number| number.try_into().ok());
        number.map(Some).ok_or(ConfError::Number { key, value: text })
    }

    pub(super) fn date(
        &mut self,
        key: &'static str,
        now: &DateTime,
    ) -> Result<Option<DateTime>, ConfError> {
        match self.string(key)? {
            None => Ok(None),
            Some(text) if text == "now" => Ok(Some(now.clone())),
            Some(value) => DateTime::fromisoformat(&value)
                .map(Some)
                .map_err(|source| ConfError::Date { key, value, source }),
        }
    }

    /// A warning for each key that was not taken.
    pub(super) fn unknown(self) -> Vec<String> {
        let warning = |key| format!("the conf's key `{key}` is unknown and has no effect");
        self.0.keys().map(warning).collect()
    }
}

pub(super) fn string(key: &str, value: Value) -> Result<String, ConfError> {
    match value {
        Value::String(string) => Ok(string),
        other => Err(wrong_type(key, "a string", &other)),
    }
}

pub(super) fn list_of_strings(key: &str, value: Value) -> Result<Vec<String>, ConfError> {
    let Value::Array(items) = value else {
        return Err(wrong_type(key, "a list of strings", &value));
    };
    let item = |(index, value)| string(&format!("{key}[{index}]"), value);
    items.into_iter().enumerate().map(item).collect()
}

pub(super) fn wrong_type(key: &str, expected: &'static str, found: &Value) -> ConfError {
    ConfError::Type { key: key.into(), expected, found: describe(found) }
}

/// A value's type, and the value itself if it is short.
pub(super) fn describe(value: &Value) -> String {
    let name = match value {
        Value::Null => return "null".into(),
        Value::Array(_) => return "a list".into(),
        Value::Object(_) => return "an object".into(),
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
    };
    let mut text: String = value.to_string().chars().take(61).collect();
    if text.chars().count() > 60 {
        text.push_str("...");
    }
    format!("{name} ({text})")
}
