//! What changed from one image to another, and what has to be transferred because of it.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{Contents, names};

/// What changed between two images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Paths that are in only one of the images, sorted by package name.
    pub changes: Vec<Change>,
    /// The number of paths that are in both.
    pub kept: usize,
    /// Layers of the new image that the old one also has, in any position.
    pub reused: LayerCount,
    /// Layers of the new image that the old one lacks. A push sends these, and an engine pulls
    /// them.
    pub moved: LayerCount,
    /// Layers of the new image, starting with the first one that is not at the same position in the
    /// old image. An engine unpacks, or links, all of these, since it identifies a layer together
    /// with everything below it.
    pub unpacked: LayerCount,
    /// Whether both images have the same layers in the same order.
    pub same_layers: bool,
}

/// A number of layers and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LayerCount {
    /// The number of layers.
    pub layers: usize,
    /// The total size of their tar files.
    pub bytes: u64,
}

/// A package that differs between the images. Paths are identified by their index in
/// [`Contents::paths`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The package's name, without a version.
    pub name: String,
    /// The path's index in the old image, or `None` if it was added.
    pub old: Option<usize>,
    /// The path's index in the new image, or `None` if it was removed.
    pub new: Option<usize>,
}

impl Difference {
    /// What changed from `old` to `new`.
    pub fn of(old: &Contents, new: &Contents) -> Self {
        let known: HashSet<_> = old.layers.iter().map(|layer| layer.diff_id).collect();
        let both = old.layers.iter().zip(&new.layers);
        let unchanged = both.take_while(|(old, new)| old.diff_id == new.diff_id).count();
        let mut difference = Self {
            changes: Vec::new(),
            kept: 0,
            reused: LayerCount::default(),
            moved: LayerCount::default(),
            unpacked: LayerCount::default(),
            same_layers: old.layers.len() == unchanged && new.layers.len() == unchanged,
        };
        let mut seen = HashSet::new();
        for (place, layer) in new.layers.iter().enumerate() {
            if place >= unchanged {
                difference.unpacked.add(layer.size);
            }
            // A layer that occurs twice is transferred once.
            if known.contains(&layer.diff_id) {
                difference.reused.add(layer.size);
            } else if seen.insert(layer.diff_id) {
                difference.moved.add(layer.size);
            }
        }
        difference.compare_paths(old, new);
        difference
    }

    fn compare_paths(&mut self, old: &Contents, new: &Contents) {
        let places = |contents: &Contents| -> HashMap<String, usize> {
            let paths = contents.paths.iter().enumerate();
            paths.map(|(place, path)| (path.path.clone(), place)).collect()
        };
        let (in_old, in_new) = (places(old), places(new));
        // For each package, the paths that are in only one image.
        let mut packages: BTreeMap<&str, (Vec<usize>, Vec<usize>)> = BTreeMap::new();
        for (place, path) in old.paths.iter().enumerate() {
            if in_new.contains_key(&path.path) {
                self.kept += 1;
            } else {
                packages.entry(names::package(&path.path).0).or_default().0.push(place);
            }
        }
        for (place, path) in new.paths.iter().enumerate() {
            if !in_old.contains_key(&path.path) {
                packages.entry(names::package(&path.path).0).or_default().1.push(place);
            }
        }
        for (name, (mut olds, mut news)) in packages {
            // Several paths of a package, such as its outputs, are paired by output and full name.
            olds.sort_by_key(|&place| output(&old.paths[place].path));
            news.sort_by_key(|&place| output(&new.paths[place].path));
            for index in 0..olds.len().max(news.len()) {
                let (old, new) = (olds.get(index).copied(), news.get(index).copied());
                self.changes.push(Change { name: name.to_owned(), old, new });
            }
        }
    }
}

/// The sort key for the paths of a package: the output and the full name.
fn output(path: &str) -> (Option<&str>, &str) {
    (names::output(path), names::full_name(path))
}

impl LayerCount {
    fn add(&mut self, bytes: u64) {
        self.layers += 1;
        self.bytes += bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Census;
    use formats::digest::Digest;

    /// An image whose layers have these paths, each given as a letter, which is repeated to make
    /// the hash, and a name. A layer's digest depends only on its paths.
    fn image(layers: &[&[&str]]) -> Contents {
        let mut census = Census::new("/nix/store");
        for layer in layers {
            census.begin_layer(Digest::of(layer.concat().as_bytes()), 1000);
            for path in *layer {
                let (hash, name) = path.split_once('-').unwrap();
                census.entry(format!("/nix/store/{}-{name}", hash.repeat(32)).as_bytes(), 100);
            }
        }
        census.finish("app:1", None, None)
    }

    fn said(old: &Contents, new: &Contents) -> Vec<String> {
        let name = |contents: &Contents, place: Option<usize>| {
            place.map_or("nothing".to_owned(), |place| {
                names::full_name(&contents.paths[place].path).to_owned()
            })
        };
        let changes = Difference::of(old, new).changes;
        changes
            .iter()
            .map(|change| format!("{} -> {}", name(old, change.old), name(new, change.new)))
            .collect()
    }

    #[test]
    fn packages_are_paired_by_name_and_output() {
        let old = image(&[&["a-glibc-1", "b-gcc-13-lib", "c-gcc-13", "d-gone-1", "e-same-1"]]);
        let new = image(&[&["f-glibc-2", "g-gcc-14", "h-gcc-14-lib", "i-new", "e-same-1"]]);
        assert_eq!(
            said(&old, &new),
            [
                "gcc-13 -> gcc-14",
                "gcc-13-lib -> gcc-14-lib",
                "glibc-1 -> glibc-2",
                "gone-1 -> nothing",
                "nothing -> new",
            ]
        );
        assert_eq!(Difference::of(&old, &new).kept, 1);
    }

    #[test]
    fn a_changed_layer_is_moved_and_those_above_it_are_unpacked() {
        let old = image(&[&["a-a"], &["b-b"], &["c-c"]]);
        let new = image(&[&["a-a"], &["d-b"], &["c-c"]]);
        let difference = Difference::of(&old, &new);
        let count = |layers| LayerCount { layers, bytes: 1000 * layers as u64 };
        assert_eq!(difference.reused, count(2));
        assert_eq!(difference.moved, count(1));
        assert_eq!(difference.unpacked, count(2));
        assert!(!difference.same_layers);
        assert!(Difference::of(&old, &old).same_layers);
    }

    #[test]
    fn another_order_moves_nothing_and_unpacks() {
        let (old, new) = (image(&[&["a-a"], &["b-b"]]), image(&[&["b-b"], &["a-a"]]));
        let difference = Difference::of(&old, &new);
        assert_eq!((difference.moved.layers, difference.unpacked.layers), (0, 2));
        assert!(!difference.same_layers);
    }

    #[test]
    fn a_removed_layer_is_noticed() {
        let (old, new) = (image(&[&["a-a"], &["b-b"]]), image(&[&["a-a"]]));
        assert!(!Difference::of(&old, &new).same_layers);
        assert_eq!(said(&old, &new), ["b -> nothing"]);
    }
}
