//! What an image contains: its layers, the store paths in them, and why those are there.
//!
//! A [`Census`] counts the entries of each layer and produces the [`Contents`] of an image.
//! [`Hashes`] finds references in file contents, and [`EqualFiles`] finds duplicates. [`Closure`]
//! answers questions about references, and [`Difference`] compares two images. [`picture`] draws
//! both, and [`report`] makes an HTML page.
//!
//! Everything here works on values. Reading images is up to the caller.

mod census;
mod closure;
mod difference;
mod equal_files;
mod hashes;
pub mod names;
mod overlay;
pub mod picture;
pub mod report;
mod treemap;

use formats::digest::Digest;
use planner::edges::Edges;

pub use census::Census;
pub use closure::Closure;
pub use difference::{Change, Difference, LayerCount};
pub use equal_files::{EqualFiles, Place};
pub use hashes::{Hashes, Scanner};

/// What an image contains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// The image's name.
    pub name: String,
    /// The layers, lowest first.
    pub layers: Vec<Layer>,
    /// The store paths, in the order in which they appear in the layers.
    pub paths: Vec<StorePath>,
    /// The references between paths, by their index in `paths`, without those of a path to itself.
    /// `None` if unknown.
    pub references: Option<Edges>,
    /// Equal files. `None` if files were not compared.
    pub duplicates: Option<Duplicates>,
    /// Bytes of files in lower layers that upper ones replace or remove, and of store paths in
    /// several layers: all but the largest part of each.
    pub hidden: u64,
}

/// A layer of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// The digest of the tar file.
    pub diff_id: Digest,
    /// The size of the tar file in bytes.
    pub size: u64,
    /// The store paths in the layer, and how many of its bytes each takes up.
    pub parts: Vec<Part>,
    /// Bytes taken up by files and links outside store paths, without directories.
    pub other_files: u64,
}

/// A store path in a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The path's index in [`Contents::paths`].
    pub path: usize,
    /// The bytes of the layer's tar file that it takes up: headers, contents and padding.
    pub bytes: u64,
}

/// A store path in an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorePath {
    /// The full path, `/nix/store/<hash>-<name>`.
    pub path: String,
    /// The bytes that it takes up in all layers together.
    pub size: u64,
    /// The number of files, links and directories in it.
    pub entries: u64,
    /// The lowest layer with entries of it.
    pub layer: usize,
}

/// Files with the same content that are in the image more than once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Duplicates {
    /// The bytes of all copies but one of each.
    pub bytes: u64,
    /// The groups of equal files, the most wasteful first.
    pub groups: Vec<Copies>,
    /// The minimum size in bytes of the files that were compared.
    pub least: u64,
}

/// Equal files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copies {
    /// The size of one copy in bytes.
    pub size: u64,
    /// The number of copies.
    pub count: usize,
    /// Some of the copies, as paths in the image.
    pub files: Vec<String>,
}

impl Contents {
    /// The size of all layers' tar files in bytes.
    pub fn size(&self) -> u64 {
        self.layers.iter().map(|layer| layer.size).sum()
    }

    /// Bytes that the image could do without: all but one of equal files, and what is hidden.
    pub fn waste(&self) -> u64 {
        self.duplicates.as_ref().map_or(0, |duplicates| duplicates.bytes) + self.hidden
    }

    /// The indexes of all paths, the largest path first.
    pub fn largest_paths(&self) -> Vec<usize> {
        let mut places: Vec<_> = (0..self.paths.len()).collect();
        places.sort_by(|&a, &b| {
            let (a, b) = (&self.paths[a], &self.paths[b]);
            b.size.cmp(&a.size).then_with(|| a.path.cmp(&b.path))
        });
        places
    }

    /// The indexes of the paths that a text identifies: by full path, base name, hash, or name,
    /// with or without the version, such as `glibc-2.40` or `glibc`.
    pub fn find(&self, text: &str) -> Vec<usize> {
        let matching = |kind: fn(&str) -> &str| -> Vec<usize> {
            let is_it = |&place: &usize| kind(&self.paths[place].path) == text;
            (0..self.paths.len()).filter(is_it).collect()
        };
        let kinds: [fn(&str) -> &str; 5] = [
            |path| path,
            names::base_name,
            names::hash,
            names::full_name,
            |path| names::package(path).0,
        ];
        kinds.into_iter().map(matching).find(|found| !found.is_empty()).unwrap_or_default()
    }
}

impl Layer {
    /// Bytes that no store path takes up: other files, the store's own directories, the tar's end.
    pub fn other_bytes(&self) -> u64 {
        self.size.saturating_sub(self.parts.iter().map(|part| part.bytes).sum())
    }
}
