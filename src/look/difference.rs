//! What changed between two images, as text and as JSON.

use std::cmp::Ordering;
use std::fmt::Write as _;

use contents::{Change, Contents, Difference, LayerCount, names};
use formats::peer_text;
use serde_json::{Value, json};

use super::bytes;
use super::layout::{Side, table};
use crate::report::count;

/// Two images and what changed between them.
#[derive(Debug)]
pub(crate) struct Changes<'a> {
    pub(crate) old: &'a Contents,
    pub(crate) new: &'a Contents,
    pub(crate) difference: &'a Difference,
    /// The keys whose values differ between their configs, such as `Env`.
    pub(crate) config: Vec<String>,
}

impl Changes<'_> {
    /// Whether the images are the same.
    pub(crate) fn is_empty(&self) -> bool {
        self.difference.same_layers && self.config.is_empty()
    }

    /// Packages, layers, and what a push, a pull or an unpacking would transfer.
    /// The lines of the table have at most `width` characters.
    pub(crate) fn text(&self, width: usize) -> String {
        let Self { old, new, difference, .. } = self;
        let name = |contents: &Contents| peer_text::plain(&contents.name);
        let mut text = format!(
            "{} → {}\n{} → {} ({}), {} → {}\n",
            name(old),
            name(new),
            bytes(old.size()),
            bytes(new.size()),
            signed(old.size(), new.size()),
            old.layers.len(),
            count(new.layers.len(), "layer"),
        );
        if self.is_empty() {
            return text + "\nno difference\n";
        }
        if !self.config.is_empty() {
            let keys: Vec<_> = self.config.iter().map(|key| peer_text::plain(key)).collect();
            let _ = writeln!(text, "\nConfig: {} changed", keys.join(", "));
        }
        text.push('\n');
        if !difference.changes.is_empty() {
            let rows: Vec<_> = difference.changes.iter().map(|change| self.row(change)).collect();
            let columns = [
                ("PACKAGE", Side::Left),
                ("OLD", Side::Left),
                ("NEW", Side::Left),
                ("BYTES", Side::Right),
            ];
            text += &table(&columns, &rows, width);
        }
        let (linked, copied) = self.linked();
        let _ = write!(
            text,
            "{} unchanged\n\n\
             reused               {}\n\
             fetched or uploaded  {}\n\
             unpacked             {}\n\
             linked store         {}, {} of it copied\n",
            count(difference.kept, "path"),
            layers(difference.reused),
            layers(difference.moved),
            layers(difference.unpacked),
            layers(linked),
            bytes(copied),
        );
        text
    }

    /// The same as JSON.
    pub(crate) fn json(&self) -> Value {
        let Self { old, new, difference, .. } = self;
        let image = |contents: &Contents| {
            json!({
                "name": contents.name,
                "size": contents.size(),
                "layers": contents.layers.len(),
            })
        };
        let path = |contents: &Contents, place: Option<usize>| {
            let path = place.map(|place| &contents.paths[place]);
            path.map(|path| json!({ "path": path.path, "size": path.size }))
        };
        let changes = difference.changes.iter().map(|change| {
            json!({
                "name": change.name,
                "kind": self.kind(change),
                "old": path(old, change.old),
                "new": path(new, change.new),
            })
        });
        let layers = |count: LayerCount| json!({ "layers": count.layers, "bytes": count.bytes });
        let (linked, copied) = self.linked();
        json!({
            "what": "compared",
            "old": image(old),
            "new": image(new),
            "config": self.config,
            "changes": changes.collect::<Vec<_>>(),
            "unchanged": difference.kept,
            "reused": layers(difference.reused),
            "fetched": layers(difference.moved),
            "unpacked": layers(difference.unpacked),
            "linked": {
                "layers": linked.layers,
                "bytes": linked.bytes,
                "copied": copied,
            },
        })
    }

    /// The layers that a linked store rebuilds, and how many of their bytes it copies because they
    /// are in no store path.
    fn linked(&self) -> (LayerCount, u64) {
        let unpacked = self.difference.unpacked;
        let first = self.new.layers.len() - unpacked.layers;
        (unpacked, self.new.layers[first..].iter().map(|layer| layer.other_files).sum())
    }

    fn row(&self, change: &Change) -> Vec<String> {
        let size = |contents: &Contents, place: Option<usize>| {
            place.map_or(0, |place| contents.paths[place].size)
        };
        let version = |contents: &Contents, place: Option<usize>| {
            let version = place.map(|place| names::package(&contents.paths[place].path).1);
            version.map(peer_text::plain)
        };
        let shown = |version: Option<String>| match version {
            None => "-".to_owned(),
            Some(version) if version.is_empty() => "(no version)".to_owned(),
            Some(version) => version,
        };
        let new = match self.kind(change) {
            "rebuilt" => "rebuilt".to_owned(),
            _ => shown(version(self.new, change.new)),
        };
        vec![
            peer_text::plain(&change.name),
            shown(version(self.old, change.old)),
            new,
            signed(size(self.old, change.old), size(self.new, change.new)),
        ]
    }

    fn kind(&self, change: &Change) -> &'static str {
        match (change.old, change.new) {
            (None, _) => "added",
            (_, None) => "removed",
            (Some(old), Some(new)) => {
                let old = names::full_name(&self.old.paths[old].path);
                if old == names::full_name(&self.new.paths[new].path) {
                    "rebuilt"
                } else {
                    "changed"
                }
            }
        }
    }
}

/// The change of a number of bytes, with its sign.
fn signed(old: u64, new: u64) -> String {
    let sign = match new.cmp(&old) {
        Ordering::Less => "-",
        Ordering::Equal => "",
        Ordering::Greater => "+",
    };
    format!("{sign}{}", bytes(new.abs_diff(old)))
}

fn layers(LayerCount { layers, bytes: size }: LayerCount) -> String {
    format!("{} ({})", count(layers, "layer"), bytes(size))
}
