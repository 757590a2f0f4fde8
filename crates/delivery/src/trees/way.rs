//! The ways in which files get from the store into an engine's directory.

use std::fmt;

/// The way that a user requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Import {
    /// The first of the others that works.
    #[default]
    Auto,
    /// Hard links.
    Link,
    /// Separate files that share the store's blocks.
    Reflink,
    /// Separate files.
    Copy,
}

/// What is done with a file in the store that matches a layer's entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// It gets another name.
    Link,
    /// A new file shares its blocks.
    Reflink,
    /// A new file has the same bytes.
    Copy,
}

impl fmt::Display for Way {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Link => "hard links",
            Self::Reflink => "reflinks",
            Self::Copy => "copies",
        })
    }
}
