//! Counts the entries of an image's layers.

use std::collections::HashMap;

use planner::edges::Edges;

use super::overlay::Overlay;
use super::{Contents, Duplicates, Layer, Part, StorePath, names};
use formats::digest::Digest;

/// Counts the entries of an image, layer by layer from the lowest one, with
/// [`Census::begin_layer`], [`Census::entry`] and [`Census::directory`].
#[derive(Debug)]
pub struct Census {
    /// The store's directory, with a trailing slash and no leading one.
    store: String,
    layers: Vec<Layer>,
    paths: Vec<StorePath>,
    places: HashMap<String, usize>,
    /// Entries outside the store.
    others: Overlay,
}

impl Census {
    /// Counts paths of the store at `store_dir`, such as `/nix/store`.
    pub fn new(store_dir: &str) -> Self {
        let store = format!("{}/", store_dir.trim_matches('/'));
        Self {
            store,
            layers: Vec::new(),
            paths: Vec::new(),
            places: HashMap::new(),
            others: Overlay::default(),
        }
    }

    /// Begins the next layer, which has this digest and size.
    pub fn begin_layer(&mut self, diff_id: Digest, size: u64) {
        self.layers.push(Layer { diff_id, size, parts: Vec::new(), other_files: 0 });
    }

    /// Counts a layer that another image has too, using the counts from there. Which of its files
    /// outside the store are hidden remains unknown.
    pub fn repeat_layer(&mut self, of: &Contents, layer: usize) {
        let Layer { diff_id, size, parts, other_files } = &of.layers[layer];
        self.begin_layer(*diff_id, *size);
        for part in parts {
            let path = &of.paths[part.path];
            self.count(path.path.as_bytes(), part.bytes);
            if let Some(&place) = self.places.get(names::base_name(&path.path)) {
                self.paths[place].entries += path.entries.saturating_sub(1);
            }
        }
        if let Some(layer) = self.layers.last_mut() {
            layer.other_files = *other_files;
        }
    }

    /// The total size of the layers so far, in bytes.
    pub fn size(&self) -> u64 {
        self.layers.iter().map(|layer| layer.size).sum()
    }

    /// Sets the size of the current layer, if it was not known at its beginning.
    pub fn set_size(&mut self, size: u64) {
        if let Some(layer) = self.layers.last_mut() {
            layer.size = size;
        }
    }

    /// Counts an entry other than a directory that takes up `bytes` of the layer's tar file. `name`
    /// is its path in the image, with or without a leading `/` or `./`.
    pub fn entry(&mut self, name: &[u8], bytes: u64) {
        if !self.count(name, bytes) {
            self.others.put(relative(name), self.layer(), bytes);
            if let Some(layer) = self.layers.last_mut() {
                layer.other_files += bytes;
            }
        }
    }

    /// Counts a directory. The arguments are those of [`Self::entry`].
    pub fn directory(&mut self, name: &[u8], bytes: u64) {
        if !self.count(name, bytes) {
            self.others.put_directory(relative(name), self.layer());
        }
    }

    /// The index of the current layer.
    fn layer(&self) -> usize {
        self.layers.len().saturating_sub(1)
    }

    /// Counts an entry of a store path. Returns `false` if it is in none.
    fn count(&mut self, name: &[u8], bytes: u64) -> bool {
        let layer = self.layer();
        let Some(base_name) = self.store_path(name) else { return false };
        let place = if let Some(&place) = self.places.get(base_name) {
            place
        } else {
            let base_name = base_name.to_owned();
            let path = format!("/{}{base_name}", self.store);
            self.paths.push(StorePath { path, size: 0, entries: 0, layer });
            self.places.insert(base_name, self.paths.len() - 1);
            self.paths.len() - 1
        };
        self.paths[place].size += bytes;
        self.paths[place].entries += 1;
        let Some(layer) = self.layers.last_mut() else { return true };
        // The entries of a path are next to each other.
        match layer.parts.iter_mut().rev().find(|part| part.path == place) {
            Some(part) => part.bytes += bytes,
            None => layer.parts.push(Part { path: place, bytes }),
        }
        true
    }

    /// The index in [`Self::paths`] of the store path that an entry belongs to, or `None` if it is
    /// in none.
    pub fn place(&self, name: &[u8]) -> Option<usize> {
        self.places.get(self.store_path(name)?).copied()
    }

    /// The base name of the store path that an entry belongs to, or `None` if it is in none.
    fn store_path<'a>(&self, name: &'a [u8]) -> Option<&'a str> {
        let below = relative(name).strip_prefix(self.store.as_bytes())?;
        let base_name = below.split(|&byte| byte == b'/').next()?;
        let base_name = std::str::from_utf8(base_name).ok()?;
        // Anything else in the store's directory, such as `.links`, is not a store path.
        (names::hash(base_name).len() == names::HASH_LEN).then_some(base_name)
    }

    /// For each store path, the layer with the largest part of it. Parts in other layers count as
    /// repetitions.
    pub fn main_layers(&self) -> Vec<usize> {
        let mut most: Vec<(u64, usize)> = vec![(0, 0); self.paths.len()];
        for (layer, it) in self.layers.iter().enumerate() {
            for part in &it.parts {
                if part.bytes >= most[part.path].0 {
                    most[part.path] = (part.bytes, layer);
                }
            }
        }
        most.into_iter().map(|(_, layer)| layer).collect()
    }

    /// Whether a layer's file outside the store is hidden by layers above.
    pub fn is_hidden(&self, name: &[u8], layer: usize) -> bool {
        self.others.hides(relative(name), layer)
    }

    /// Bytes in lower layers that are not visible, as upper layers repeat, replace or remove them.
    fn hidden(&self) -> u64 {
        let main = self.main_layers();
        let parts = self.layers.iter().enumerate();
        let parts = parts.flat_map(|(layer, it)| it.parts.iter().map(move |part| (layer, part)));
        let repeated = parts.filter(|(layer, part)| main[part.path] != *layer);
        self.others.hidden() + repeated.map(|(_, part)| part.bytes).sum::<u64>()
    }

    /// The paths found so far, in the order in which they were found.
    pub fn paths(&self) -> impl Iterator<Item = &str> + Clone {
        self.paths.iter().map(|path| path.path.as_str())
    }

    /// The contents of the image, under this name. `references` lists the paths that each path
    /// refers to; those that are not in the image are ignored. `None` if they are unknown.
    pub fn finish(
        self,
        name: &str,
        references: Option<&HashMap<String, Vec<String>>>,
        duplicates: Option<Duplicates>,
    ) -> Contents {
        let place = |path: &String| self.places.get(names::base_name(path)).copied();
        let edges = references.map(|references| {
            Edges(
                (self.paths.iter().enumerate())
                    .map(|(own, path)| {
                        let targets = references.get(&path.path).into_iter().flatten();
                        let mut targets: Vec<_> = targets.filter_map(place).collect();
                        targets.retain(|&target| target != own);
                        targets.sort_unstable();
                        targets.dedup();
                        targets
                    })
                    .collect(),
            )
        });
        Contents {
            name: name.to_owned(),
            hidden: self.hidden(),
            layers: self.layers,
            paths: self.paths,
            references: edges,
            duplicates,
        }
    }
}

/// The name without a leading `/` or `./`.
fn relative(name: &[u8]) -> &[u8] {
    let name = name.strip_prefix(b".").filter(|rest| rest.starts_with(b"/")).unwrap_or(name);
    name.strip_prefix(b"/").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-a";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-b-1";

    #[test]
    fn entries_count_for_the_store_path_that_they_are_in() {
        let mut census = Census::new("/nix/store");
        census.begin_layer(Digest::of(b"0"), 10_240);
        for (name, bytes) in [
            ("/nix".to_owned(), 512),
            ("/nix/store".to_owned(), 512),
            (format!("/nix/store/{A}"), 512),
            (format!("./nix/store/{A}/bin"), 1024),
            (format!("nix/store/{B}"), 2048),
            ("/nix/store/.links/x".to_owned(), 512),
            ("/etc/nix/store/x".to_owned(), 512),
        ] {
            census.entry(name.as_bytes(), bytes);
        }
        census.begin_layer(Digest::of(b"1"), 5120);
        census.entry(format!("nix/store/{A}/late").as_bytes(), 512);
        let path = |name: &str| format!("/nix/store/{name}");
        let references = HashMap::from([(
            path(B),
            vec![path(A), path(B), path(A), "/nix/store/elsewhere".to_owned()],
        )]);
        let contents = census.finish("app:1", Some(&references), None);
        assert_eq!(
            contents.paths,
            [
                StorePath { path: path(A), size: 2048, entries: 3, layer: 0 },
                StorePath { path: path(B), size: 2048, entries: 1, layer: 0 },
            ]
        );
        assert_eq!(
            contents.layers[0].parts,
            [Part { path: 0, bytes: 1536 }, Part { path: 1, bytes: 2048 }]
        );
        assert_eq!(contents.layers[1].parts, [Part { path: 0, bytes: 512 }]);
        assert_eq!(contents.layers[0].other_bytes(), 10_240 - 3584);
        assert_eq!(contents.layers[0].other_files, 2048);
        assert_eq!(contents.references, Some(Edges(vec![vec![], vec![0]])));
        assert_eq!(contents.size(), 15_360);
        assert_eq!(contents.hidden, 512);
    }

    #[test]
    fn a_path_is_found_by_any_of_its_names() {
        let mut census = Census::new("/nix/store/");
        census.begin_layer(Digest::of(b""), 0);
        census.entry(format!("/nix/store/{B}").as_bytes(), 1);
        let contents = census.finish("", None, None);
        for text in [&format!("/nix/store/{B}"), B, &B[..32], "b-1", "b"] {
            assert_eq!(contents.find(text), [0], "{text}");
        }
        assert_eq!(contents.find("c"), [0; 0]);
    }
}
