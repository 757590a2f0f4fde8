//! Statistics about how files were imported.

use std::ops::AddAssign;

/// A number of files and their sizes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// The number of files.
    pub files: u64,
    /// Their total size in bytes.
    pub bytes: u64,
}

impl Count {
    pub(super) fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.files += other.files;
        self.bytes += other.bytes;
    }
}

/// The number of entries in a tree, by kind. An entry that a later one replaced counts too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Hard links to files in the store.
    pub linked: Count,
    /// Files that share blocks with the store's.
    pub reflinked: Count,
    /// Files that were copied from the store, or written from a stream.
    pub copied: Count,
    /// All other entries.
    pub others: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.linked += other.linked;
        self.reflinked += other.reflinked;
        self.copied += other.copied;
        self.others += other.others;
    }
}
