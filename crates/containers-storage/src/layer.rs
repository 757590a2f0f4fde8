//! A layer, and its record.

use std::collections::BTreeSet;

use formats::digest::Digest;
use serde_json::{Value, json};

use crate::records::{Record, text};

/// The ID that podman and skopeo give a layer: its diffID if it is the first, otherwise a digest of
/// its parent's ID and its diffID.
pub fn layer_id(parent: Option<Digest>, diff_id: Digest) -> Digest {
    parent.map_or(diff_id, |parent| {
        Digest::of(format!("{}+{}", parent.hex(), diff_id.hex()).as_bytes())
    })
}

/// A complete layer in a storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Its ID.
    pub id: Digest,
    /// The layer below it.
    pub parent: Option<Digest>,
    /// Its diffID, the digest of its uncompressed archive, if recorded.
    pub diff_id: Option<Digest>,
    /// The size of its uncompressed archive in bytes, if recorded.
    pub size: Option<u64>,
}

/// A layer to be added.
#[derive(Clone, Debug)]
pub struct NewLayer {
    /// Its ID: see [`layer_id`].
    pub id: Digest,
    /// The layer below it, which exists or comes before it in the same list.
    pub parent: Option<Digest>,
    /// Its diffID, the digest of its uncompressed archive.
    pub diff_id: Digest,
}

/// What is known of a layer once its tree is complete.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The size of its uncompressed archive in bytes.
    pub size: u64,
    /// The user IDs that own its entries.
    pub uids: BTreeSet<u32>,
    /// The group IDs that own its entries.
    pub gids: BTreeSet<u32>,
}

impl Layer {
    /// Parses a record; `None` if the layer is incomplete or its ID is not a digest.
    pub(crate) fn complete(record: &Record) -> Option<Self> {
        let digest = |field| text(record, field).parse().ok();
        let size = record.get("diff-size").and_then(Value::as_u64);
        let diff_id = digest("diff-digest");
        (!is_incomplete(record)).then_some(())?;
        Some(Self {
            id: Digest::from_hex(text(record, "id")).ok()?,
            parent: Digest::from_hex(text(record, "parent")).ok(),
            // Go omits the size if it is zero.
            size: diff_id.map(|_| size.unwrap_or(0)),
            diff_id,
        })
    }
}

impl NewLayer {
    /// Its record, with the library's fields in the library's order. Without `facts`, the layer is
    /// recorded as incomplete.
    pub(crate) fn record(&self, created: &str, facts: Option<&Facts>) -> Record {
        let mut record = Record::new();
        let mut put = |field: &str, value: Value| record.insert(field.to_owned(), value);
        put("id", self.id.hex().into());
        if let Some(parent) = self.parent {
            put("parent", parent.hex().into());
        }
        put("created", created.into());
        let Some(Facts { size, uids, gids }) = facts else {
            put("flags", json!({ "incomplete": true }));
            return record;
        };
        let digest = self.diff_id.to_string();
        for kind in ["compressed-diff-digest", "diff-digest"] {
            put(kind, digest.clone().into());
            if *size > 0 {
                let field = if kind == "diff-digest" { "diff-size" } else { "compressed-size" };
                put(field, (*size).into());
            }
        }
        for (field, ids) in [("uidset", uids), ("gidset", gids)] {
            if !ids.is_empty() {
                put(field, ids.iter().copied().collect());
            }
        }
        record
    }
}

fn is_incomplete(record: &Record) -> bool {
    let flag = record.get("flags").and_then(|flags| flags.get("incomplete"));
    flag.and_then(Value::as_bool) == Some(true)
}

/// Marks a layer as incomplete, so that the library removes it when it next writes.
pub(crate) fn mark_incomplete(record: &mut Record) {
    let flags = record.entry("flags").or_insert_with(|| json!({}));
    if !flags.is_object() {
        *flags = json!({});
    }
    flags["incomplete"] = true.into();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_those_of_podman() {
        // The first layers of an image that podman 4.3 loaded.
        let diff_ids = [
            "ac9daf5986fa67945026d5daaae8e8662bb63eada9e3176b5dff214e24d53ffd",
            "27e5ef5539a5dd7173fb51887e66c8337ad4e37aea9ad7aa260e7fe743a4abcc",
            "77d1d39ae35fe1513690b858ab2043b04fc03246c05a74e9afd33ada3ee8ae32",
        ];
        let mut parent = None;
        for diff_id in diff_ids {
            parent = Some(layer_id(parent, Digest::from_hex(diff_id).unwrap()));
        }
        let id = parent.unwrap().hex();
        assert_eq!(id, "ed085407787a888e6384b6f9ae063daa41163080e7827ea54d370d2fb10a36f5");
    }
}
