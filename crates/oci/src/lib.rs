//! OCI images: their names, their documents, and a client of registries.
//!
//! Names, descriptors, manifests, indexes and the layout's marker are pure: bytes and values in,
//! bytes and values out. What is written has its keys in the specification's order and annotations
//! sorted, so the same image is the same bytes everywhere. They know nothing of registries.
//!
//! The client (`registry`) is built with the feature `client`, and does all the I/O of this crate.

pub mod annotation;
mod descriptor;
mod documents;
mod index;
mod manifest;
mod media_type;
mod platform;
mod reference;
#[cfg(feature = "client")]
pub mod registry;

use serde_json::Value;
use thiserror::Error;

pub use annotation::Annotations;
pub use descriptor::{Descriptor, Platform};
pub use documents::Documents;
pub use index::Index;
pub use manifest::Manifest;
pub use media_type::{Compression, Flavor, is_foreign_layer};
pub use platform::WantedPlatform;
pub use reference::{Reference, ReferenceError, without_user};

/// The file that marks a directory or an archive as an OCI layout.
pub const LAYOUT_FILE: &str = "oci-layout";
/// What that file holds.
pub const LAYOUT: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;

/// The largest manifest or index that is read, as in registries.
pub const MAX_DOCUMENT: u64 = 4 << 20;

/// Why a document is not taken.
#[derive(Debug, Error)]
pub enum DocumentError {
    /// Not JSON.
    #[error("it is not valid JSON")]
    Json(#[from] serde_json::Error),
    /// Too large.
    #[error("it has {0} bytes, a manifest or index has {MAX_DOCUMENT} at most")]
    TooLarge(u64),
    /// A part of it is not as it must be.
    #[error("its `{field}` is {found}; expected {expected}")]
    Field {
        /// The part.
        field: &'static str,
        /// What it must be.
        expected: &'static str,
        /// What it is, shortened.
        found: String,
    },
}

impl DocumentError {
    fn field(field: &'static str, expected: &'static str, found: Option<&Value>) -> Self {
        let found = match found {
            None => "missing".to_owned(),
            Some(value) => format!("`{}`", value.to_string().chars().take(80).collect::<String>()),
        };
        Self::Field { field, expected, found }
    }
}

/// Reads a document of bounded size.
fn parse(bytes: &[u8]) -> Result<Value, DocumentError> {
    if bytes.len() as u64 > MAX_DOCUMENT {
        return Err(DocumentError::TooLarge(bytes.len() as u64));
    }
    Ok(serde_json::from_slice(bytes)?)
}

// What the README shows is compiled, and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
