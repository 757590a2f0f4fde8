//! Indexes: the manifests of a layout, or of one image on many platforms.

use serde_json::{Map, Value, json};

use super::annotation::REF_NAME;
use super::{Annotations, Descriptor, DocumentError, Flavor, parse};

/// An index. Entries and fields of others are kept as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    rest: Map<String, Value>,
    entries: Vec<Value>,
}

impl Index {
    /// An index without entries.
    pub fn new(flavor: Flavor) -> Self {
        let mut rest = Map::new();
        rest.insert("schemaVersion".into(), 2.into());
        rest.insert("mediaType".into(), flavor.index().into());
        rest.insert("manifests".into(), json!([]));
        Self { rest, entries: Vec::new() }
    }

    /// Reads a document.
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        let mut value = parse(bytes)?;
        if value["schemaVersion"].as_u64() != Some(2) {
            return Err(DocumentError::field("schemaVersion", "2", value.get("schemaVersion")));
        }
        let error = |found: &Value| {
            Err(DocumentError::field("manifests", "a list of descriptors", Some(found)))
        };
        let entries = match value.get_mut("manifests").map(Value::take) {
            Some(Value::Array(entries)) => entries,
            found => return error(&found.unwrap_or_default()),
        };
        if let Some(bad) = entries.iter().find(|entry| !entry.is_object()) {
            return error(bad);
        }
        let Value::Object(rest) = value else { return error(&value) };
        Ok(Self { rest, entries })
    }

    /// The document.
    pub fn to_json(&self) -> String {
        let mut value = self.rest.clone();
        value.insert("manifests".into(), self.entries.clone().into());
        Value::Object(value).to_string()
    }

    /// Sets what is said of the index itself.
    pub fn annotate(&mut self, annotations: &Annotations) {
        if !annotations.is_empty() {
            self.rest.insert("annotations".into(), json!(annotations));
        }
    }

    /// Adds an entry.
    pub fn push(&mut self, descriptor: &Descriptor) {
        self.entries.push(descriptor.to_value());
    }

    /// Adds an entry in the place of those that have its tag, [`REF_NAME`].
    pub fn put(&mut self, descriptor: &Descriptor) {
        let tag = descriptor.annotations.get(REF_NAME).map(String::as_str);
        self.entries.retain(|entry| tag.is_none() || ref_name(entry) != tag);
        self.push(descriptor);
    }

    /// The entries that are descriptors of what this program knows.
    pub fn descriptors(&self) -> impl Iterator<Item = Descriptor> {
        self.entries.iter().filter_map(|entry| Descriptor::parse(entry).ok())
    }
}

fn ref_name(entry: &Value) -> Option<&str> {
    entry["annotations"][REF_NAME].as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(tag: &str, content: &[u8]) -> Descriptor {
        let mut descriptor = Descriptor::of(Flavor::Oci.manifest(), content);
        descriptor.annotations.insert(REF_NAME.into(), tag.into());
        descriptor
    }

    #[test]
    fn a_tag_is_replaced_and_what_others_wrote_is_kept() {
        let foreign = r#"{"schemaVersion":2,"x":1,"manifests":[{"digest":"sha512:0","y":[]}]}"#;
        let mut index = Index::parse(foreign.as_bytes()).unwrap();
        assert_eq!(index.to_json(), foreign);
        for (tag, content) in [("1", b"a"), ("2", b"b"), ("1", b"c")] {
            index.put(&entry(tag, content));
        }
        let index = Index::parse(index.to_json().as_bytes()).unwrap();
        assert_eq!(index.entries.len(), 3);
        assert_eq!(index.entries[0], json!({"digest": "sha512:0", "y": []}));
        let known: Vec<_> = index.descriptors().collect();
        assert_eq!(known, [entry("2", b"b"), entry("1", b"c")]);
    }

    #[test]
    fn what_is_no_index_is_refused() {
        for bad in
            ["", "[]", "{}", r#"{"schemaVersion":2}"#, r#"{"schemaVersion":1,"manifests":[]}"#]
        {
            assert!(Index::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(Index::parse(br#"{"schemaVersion":2,"manifests":[1]}"#).is_err());
        assert_eq!(Index::new(Flavor::Oci).descriptors().count(), 0);
    }
}
