//! Indexes: the manifests of a layout, or of one image for several platforms.

use serde_json::{Map, Value, json};

use super::annotation::{CONTAINERD_NAME, REF_NAME};
use super::{Annotations, Descriptor, DocumentError, Flavor, Reference, parse};

/// An index. Unknown entries and fields are preserved.
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

    /// An index of these entries.
    pub fn of(flavor: Flavor, entries: &[Descriptor]) -> Self {
        let mut index = Self::new(flavor);
        for entry in entries {
            index.push(entry);
        }
        index
    }

    /// Parses an index.
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

    /// The JSON document.
    pub fn to_json(&self) -> String {
        let mut value = self.rest.clone();
        value.insert("manifests".into(), self.entries.clone().into());
        Value::Object(value).to_string()
    }

    /// Sets the annotations of the index itself.
    pub fn annotate(&mut self, annotations: &Annotations) {
        if !annotations.is_empty() {
            self.rest.insert("annotations".into(), json!(annotations));
        }
    }

    /// Adds an entry.
    pub fn push(&mut self, descriptor: &Descriptor) {
        self.entries.push(descriptor.to_value());
    }

    /// Adds an image, replacing the one of the same name.
    ///
    /// Readers choose the image by its [`REF_NAME`]. That is the tag, as long as no other image has
    /// the same tag. Otherwise all images with the tag get their names instead, such as
    /// `app:latest`, since which image a shared tag means would depend on the reader. Entries from
    /// other programs that have a tag but no name keep the bare tag.
    ///
    /// Returns the names by which the images with the tag are now chosen, if this image is the one
    /// that made the tag shared.
    pub fn put(&mut self, mut descriptor: Descriptor, name: &Reference) -> Option<Vec<String>> {
        let before = self.ref_names(name.tag());
        let whole = name.canonical();
        self.entries.retain(|entry| name_of(entry).is_none_or(|name| name.canonical() != whole));
        let mut shared = false;
        for entry in self.entries.iter_mut().filter(|entry| has_tag(entry, name.tag())) {
            shared = true;
            if let Some(other) = name_of(entry)
                && ref_name(entry) == Some(other.tag())
            {
                entry["annotations"][REF_NAME] = other.familiar().into();
            }
        }
        let chosen_by = if shared { name.familiar() } else { name.tag().to_owned() };
        let annotations = &mut descriptor.annotations;
        annotations.insert(CONTAINERD_NAME.into(), whole);
        annotations.insert(REF_NAME.into(), chosen_by.clone());
        self.push(&descriptor);
        (shared && !before.contains(&chosen_by)).then(|| self.ref_names(name.tag()))
    }

    /// The names by which the images with a tag are chosen.
    fn ref_names(&self, tag: &str) -> Vec<String> {
        let entries = self.entries.iter().filter(|entry| has_tag(entry, tag));
        entries.filter_map(ref_name).map(str::to_owned).collect()
    }

    /// The raw entries.
    pub(super) fn entries(&self) -> &[Value] {
        &self.entries
    }

    /// The entries that are valid descriptors.
    pub fn descriptors(&self) -> impl Iterator<Item = Descriptor> {
        self.entries.iter().filter_map(|entry| Descriptor::parse(entry).ok())
    }
}

fn ref_name(entry: &Value) -> Option<&str> {
    entry["annotations"][REF_NAME].as_str()
}

/// An entry's full name. Many programs write it where the tag is expected.
fn name_of(entry: &Value) -> Option<Reference> {
    let names = [entry["annotations"][CONTAINERD_NAME].as_str(), ref_name(entry)];
    names.into_iter().flatten().find_map(|text| {
        let name = Reference::of_image(text).ok()?;
        text.ends_with(&format!(":{}", name.tag())).then_some(name)
    })
}

/// Whether an entry's name has the tag, or the entry has the bare tag instead of a name.
fn has_tag(entry: &Value, tag: &str) -> bool {
    name_of(entry).map_or(ref_name(entry) == Some(tag), |name| name.tag() == tag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use formats::digest::Digest;

    fn put(index: &mut Index, name: &str) -> Option<Vec<String>> {
        let descriptor = Descriptor::of(Flavor::Oci.manifest(), name.as_bytes());
        index.put(descriptor, &Reference::parse(name).unwrap())
    }

    /// The full names in an index and the names they are chosen by, sorted.
    fn names(index: &Index) -> Vec<(String, String)> {
        let annotations = index.descriptors().map(|entry| entry.annotations);
        let mut names: Vec<_> = annotations
            .map(|annotations| {
                let text = |key| annotations.get(key).cloned().unwrap_or_default();
                (text(CONTAINERD_NAME), text(REF_NAME))
            })
            .collect();
        names.sort();
        names
    }

    #[test]
    fn an_image_takes_the_place_of_its_name_alone_and_what_others_wrote_is_kept() {
        let foreign = r#"{"schemaVersion":2,"x":1,"manifests":[{"digest":"sha512:0","y":[]}]}"#;
        let mut index = Index::parse(foreign.as_bytes()).unwrap();
        assert_eq!(index.to_json(), foreign);
        for name in ["a:1", "index.docker.io/a:1", "a:2", "docker.io/library/a:1"] {
            assert_eq!(put(&mut index, name), None);
        }
        let index = Index::parse(index.to_json().as_bytes()).unwrap();
        assert_eq!(index.entries.len(), 3);
        assert_eq!(index.entries[0], json!({"digest": "sha512:0", "y": []}));
        let digests: Vec<_> = index.descriptors().map(|entry| entry.digest).collect();
        assert_eq!(digests, [&b"a:2"[..], b"docker.io/library/a:1"].map(Digest::of));
        let pair = |whole: &str, tag: &str| (whole.to_owned(), tag.to_owned());
        let expected = [pair("docker.io/library/a:1", "1"), pair("docker.io/library/a:2", "2")];
        assert_eq!(names(&index), expected);
    }

    #[test]
    fn a_shared_tag_names_nobody_in_whichever_order_the_images_came() {
        let mut outcomes = Vec::new();
        for order in [["a:l", "x.y/b:l", "me/c:l"], ["me/c:l", "a:l", "x.y/b:l"]] {
            let mut index = Index::new(Flavor::Oci);
            assert_eq!(put(&mut index, order[0]), None);
            assert_eq!(put(&mut index, order[1]).unwrap(), order[..2]);
            assert_eq!(put(&mut index, order[2]).unwrap(), order);
            // Reported only once.
            assert_eq!(put(&mut index, order[0]), None);
            assert_eq!(put(&mut index, "d:other"), None);
            outcomes.push(names(&index));
        }
        assert_eq!(outcomes[0], outcomes[1]);
        let called: Vec<_> = outcomes[0].iter().map(|(_, called)| called.as_str()).collect();
        assert_eq!(called, ["a:l", "other", "me/c:l", "x.y/b:l"]);
    }

    #[test]
    fn names_that_others_wrote_count() {
        let entry = |annotations: Value| {
            let descriptor = Descriptor::of(Flavor::Oci.manifest(), b"theirs").to_value();
            let mut entry = descriptor.as_object().unwrap().clone();
            entry.insert("annotations".into(), annotations);
            entry
        };
        for (theirs, kept, ours) in [
            // skopeo with a bare tag and with a name, podman, containerd.
            (json!({REF_NAME: "1"}), Some("1"), "a:1"),
            (json!({REF_NAME: "a:1"}), None, "1"),
            (json!({REF_NAME: "b:1"}), Some("b:1"), "a:1"),
            (json!({REF_NAME: "docker.io/library/a:1"}), None, "1"),
            (json!({REF_NAME: "1", CONTAINERD_NAME: "x.y/a:1"}), Some("x.y/a:1"), "a:1"),
            (json!({REF_NAME: "2", CONTAINERD_NAME: "docker.io/library/a:1"}), None, "1"),
            (json!({REF_NAME: "x.y:1/a"}), Some("x.y:1/a"), "1"),
            (json!({}), Some(""), "1"),
        ] {
            let mut index = Index::new(Flavor::Oci);
            index.entries.push(entry(theirs.clone()).into());
            put(&mut index, "a:1");
            let mut found: Vec<_> = names(&index).into_iter().map(|(_, called)| called).collect();
            found.sort();
            let mut expected: Vec<_> = kept.into_iter().chain([ours]).collect();
            expected.sort_unstable();
            assert_eq!(found, expected, "{theirs}");
        }
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
