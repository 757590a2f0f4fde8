//! Records of layers, images and containers: an array of JSON objects in a file.
//!
//! Unknown fields are preserved, and so is the order of all fields.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::error::{Context as _, Error};
use crate::files::write_atomically;

/// The maximum size of a file of records: about 100,000 layers.
const MAX_BYTES: u64 = 64 << 20;

pub(crate) type Record = Map<String, Value>;

/// The records in a file.
#[derive(Debug)]
pub(crate) struct Records {
    path: PathBuf,
    pub(crate) list: Vec<Record>,
}

impl Records {
    /// Reads a file of records. A missing file has no records.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let mut text = Vec::new();
        match File::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            opened => {
                let limited = opened.context("reading", path)?.take(MAX_BYTES + 1);
                { limited }.read_to_end(&mut text).context("reading", path)?;
            }
        }
        if text.len() as u64 > MAX_BYTES {
            let why = format!("expected at most {MAX_BYTES} bytes of records, found more");
            return Err(Error::unsupported(path, why));
        }
        let list = parse(&text).map_err(|why| Error::unsupported(path, why))?;
        Ok(Self { path: path.to_owned(), list })
    }

    /// Writes the records back to the file.
    pub(crate) fn write(&self, mode: u32) -> Result<(), Error> {
        write_atomically(&self.path, mode, |file| file.write_all(&serde_json::to_vec(&self.list)?))
    }

    pub(crate) fn find(&self, id: &str) -> Option<&Record> {
        self.list.iter().find(|record| text(record, "id") == id)
    }
}

fn parse(text: &[u8]) -> Result<Vec<Record>, String> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let value: Value =
        serde_json::from_slice(text).map_err(|error| format!("not valid JSON: {error}"))?;
    let object = |value| match value {
        Value::Object(record) => Ok(record),
        other => Err(format!("expected an array of objects, found {}", kind(&other))),
    };
    match value {
        Value::Array(list) => list.into_iter().map(object).collect(),
        // How Go encodes an empty list of records.
        Value::Null => Ok(Vec::new()),
        other => Err(format!("expected an array, found {}", kind(&other))),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// A string field; an empty string if it is missing or not a string.
pub(crate) fn text<'a>(record: &'a Record, field: &str) -> &'a str {
    record.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// The strings in an array field.
pub(crate) fn texts<'a>(record: &'a Record, field: &str) -> impl Iterator<Item = &'a str> {
    record.get(field).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn unknown_fields_and_their_order_stay() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("layers.json");
        let written =
            r#"[{"zeta":1.50,"id":"a","x":{"b":1,"a":[18446744073709551616]}},{"id":"b"}]"#;
        fs::write(&path, written).unwrap();
        Records::read(&path).unwrap().write(0o600).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), written);
    }

    #[test]
    fn what_is_not_records_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("layers.json");
        for empty in ["", "null", "[]"] {
            fs::write(&path, empty).unwrap();
            assert_eq!(Records::read(&path).unwrap().list.len(), 0);
        }
        for wrong in ["{}", "[1]", "[", "\0", "[{}] x"] {
            fs::write(&path, wrong).unwrap();
            let error = Records::read(&path).unwrap_err();
            assert!(matches!(error, Error::Unsupported { .. }), "{wrong}: {error}");
        }
    }
}
