//! What an image contains: its layers, the store paths in them, and why those are there.
//!
//! A [`Census`] counts the entries of each layer and ends as the [`Contents`] of an image.
//! [`Hashes`] finds references in contents, [`EqualFiles`] equal ones. [`Closure`] answers questions about references, [`Difference`] compares two images. Pictures of
//! both are drawn by [`picture`], and [`report`] makes an HTML page.
//!
//! Everything here takes values and returns values; reading images is the caller's business.

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
    /// The store paths, in the order in which the layers have them.
    pub paths: Vec<StorePath>,
    /// Which path refers to which, by their places in `paths`, without references of a path to
    /// itself. `None` if unknown.
    pub references: Option<Edges>,
    /// Equal files. `None` if they were not looked for.
    pub duplicates: Option<Duplicates>,
    /// Bytes of files in lower layers that upper ones replace or remove, and of store paths that
    /// several layers have: all but the largest part of each.
    pub hidden: u64,
}

/// A layer of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// The digest of its tar file.
    pub diff_id: Digest,
    /// Bytes of its tar file.
    pub size: u64,
    /// The store paths in it, and how many of its bytes each takes.
    pub parts: Vec<Part>,
    /// Bytes that files and links outside of store paths take, without directories.
    pub other_files: u64,
}

/// A store path in a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The path's place in [`Contents::paths`].
    pub path: usize,
    /// Bytes of the layer's tar file that it takes: headers, contents and padding.
    pub bytes: u64,
}

/// A store path in an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorePath {
    /// The whole path, `/nix/store/<hash>-<name>`.
    pub path: String,
    /// Bytes that it takes in the layers, in all.
    pub size: u64,
    /// Files, links and directories in it.
    pub entries: u64,
    /// The lowest layer that has it.
    pub layer: usize,
}

/// Files that are in the image more than once with the same content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Duplicates {
    /// Bytes of all copies but one.
    pub bytes: u64,
    /// The groups of equal files, the one that wastes most first.
    pub groups: Vec<Copies>,
    /// The size in bytes from which on files were compared.
    pub least: u64,
}

/// Equal files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copies {
    /// Bytes of one of them.
    pub size: u64,
    /// How many there are.
    pub count: usize,
    /// Where some of them are, as paths in the image.
    pub files: Vec<String>,
}

impl Contents {
    /// Bytes of all layers' tar files.
    pub fn size(&self) -> u64 {
        self.layers.iter().map(|layer| layer.size).sum()
    }

    /// Bytes that the image could do without: equal files but one, and what is hidden.
    pub fn waste(&self) -> u64 {
        self.duplicates.as_ref().map_or(0, |duplicates| duplicates.bytes) + self.hidden
    }

    /// The places of all paths, the largest path first.
    pub fn largest_paths(&self) -> Vec<usize> {
        let mut places: Vec<_> = (0..self.paths.len()).collect();
        places.sort_by(|&a, &b| {
            let (a, b) = (&self.paths[a], &self.paths[b]);
            b.size.cmp(&a.size).then_with(|| a.path.cmp(&b.path))
        });
        places
    }

    /// The places of the paths that a text means: a whole path, its base name or hash, or its name
    /// with or without the version, as in `glibc-2.40`, `glibc`.
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
    /// Bytes that no store path takes: other files, the store's own directories, the tar's end.
    pub fn other_bytes(&self) -> u64 {
        self.size.saturating_sub(self.parts.iter().map(|part| part.bytes).sum())
    }
}
