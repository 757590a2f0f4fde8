//! Which files outside the store are hidden by layers above them.

use std::collections::BTreeMap;
use std::ops::Bound;

/// Maximum total length of stored names in bytes. Files beyond that count as not hidden.
const MAX_NAMES: usize = 64 << 20;
/// The prefix of whiteouts' names (OCI image specification, "Image Layer Filesystem Changeset").
const WHITEOUT: &[u8] = b".wh.";
/// The whiteout that hides everything that lower layers have in its directory.
const OPAQUE: &[u8] = b".wh..wh..opq";

/// The files that are visible when layers are put on top of each other.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    /// Names without a leading slash, with their layer and their bytes.
    files: BTreeMap<Vec<u8>, (usize, u64)>,
    /// The total length of all names.
    names: usize,
    /// Whether some files did not fit.
    is_full: bool,
    hidden: u64,
}

impl Overlay {
    /// Adds something other than a directory to a layer, replacing what lower layers have there.
    pub(super) fn put(&mut self, name: &[u8], layer: usize, bytes: u64) {
        let (directory, base_name) = match name.iter().rposition(|&byte| byte == b'/') {
            Some(slash) => name.split_at(slash + 1),
            None => (&name[..0], name),
        };
        if base_name == OPAQUE {
            return self.hide_below(directory, layer);
        }
        if let Some(hidden) = base_name.strip_prefix(WHITEOUT) {
            return self.hide(&[directory, hidden].concat(), layer);
        }
        self.hide(name, layer);
        if self.names + name.len() <= MAX_NAMES {
            self.names += name.len();
            self.files.insert(name.to_owned(), (layer, bytes));
        } else {
            self.is_full = true;
        }
    }

    /// Adds a directory to a layer. Its contents in lower layers remain visible.
    pub(super) fn put_directory(&mut self, name: &[u8], layer: usize) {
        if self.files.get(name).is_some_and(|(of, _)| *of < layer) {
            self.remove(name);
        }
    }

    /// Whether higher layers hide the file of this name in this layer.
    pub(super) fn hides(&self, name: &[u8], layer: usize) -> bool {
        !self.is_full && self.files.get(name).is_none_or(|(of, _)| *of != layer)
    }

    /// Bytes of everything hidden.
    pub(super) fn hidden(&self) -> u64 {
        self.hidden
    }

    fn hide(&mut self, name: &[u8], layer: usize) {
        if self.files.get(name).is_some_and(|(of, _)| *of < layer) {
            self.remove(name);
        }
        self.hide_below(&[name, b"/"].concat(), layer);
    }

    /// Hides everything in lower layers whose name begins with `start`.
    fn hide_below(&mut self, start: &[u8], layer: usize) {
        let from = (Bound::Included(start), Bound::Unbounded);
        let below = self.files.range::<[u8], _>(from);
        let below = below.take_while(|(name, _)| name.starts_with(start));
        let lower = below.filter(|(_, (of, _))| *of < layer);
        let names: Vec<_> = lower.map(|(name, _)| name.clone()).collect();
        for name in names {
            self.remove(&name);
        }
    }

    fn remove(&mut self, name: &[u8]) {
        if let Some((_, bytes)) = self.files.remove(name) {
            self.names -= name.len();
            self.hidden += bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upper_layers_hide_what_they_replace_or_remove() {
        let mut overlay = Overlay::default();
        let lower = ["a", "b/x", "b/y", "bc", "c/x", "d/x/y", "e", "f/x"];
        for (power, name) in lower.iter().enumerate() {
            overlay.put(name.as_bytes(), 0, 1 << power);
        }
        overlay.put(b"a", 1, 1 << 10);
        overlay.put(b"b/.wh..wh..opq", 1, 512);
        overlay.put(b"b/new", 1, 1 << 11);
        overlay.put(b".wh.d", 1, 512);
        overlay.put_directory(b"e", 1);
        overlay.put_directory(b"f", 1);
        assert_eq!(overlay.hidden(), 0b110_0111 & !(1 << 3));
        for (name, layer, hidden) in [
            ("a", 0, true),
            ("a", 1, false),
            ("b/y", 0, true),
            ("b/new", 1, false),
            ("bc", 0, false),
            ("d/x/y", 0, true),
            ("f/x", 0, false),
        ] {
            assert_eq!(overlay.hides(name.as_bytes(), layer), hidden, "{name} {layer}");
        }
    }

    #[test]
    fn a_file_in_place_of_a_directory_hides_what_is_in_that() {
        let mut overlay = Overlay::default();
        overlay.put(b"a/b/c", 0, 1);
        overlay.put(b"a", 1, 2);
        assert_eq!(overlay.hidden(), 1);
        // Duplicate names within a layer are not handled here.
        overlay.put(b"a", 1, 4);
        assert_eq!(overlay.hidden(), 1);
    }
}
