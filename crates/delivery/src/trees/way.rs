//! The ways from the store into an engine's directory.

use std::fmt;

/// What a user asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Import {
    /// The first of the others that works.
    #[default]
    Auto,
    /// Hard links.
    Link,
    /// Files of their own that share the store's blocks.
    Reflink,
    /// Files of their own.
    Copy,
}

/// What is done with a file of the store that is just what a layer asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// It gets one more name.
    Link,
    /// A new file shares its blocks.
    Reflink,
    /// A new file has its bytes.
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
