//! OCI images: their names, their documents, and a client of registries.
//!
//! Names, descriptors, manifests, indexes and the layout's marker are pure: bytes and values in,
//! bytes and values out. Documents are written with keys in the specification's order and with
//! sorted annotations, so the same image has the same bytes everywhere. This part knows nothing
//! about registries.
//!
//! The client (`registry`) needs the feature `client`, and does all the I/O of this crate.

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
/// The contents of that file.
pub const LAYOUT: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;

/// The maximum size of a manifest or index, the same as in registries.
pub const MAX_DOCUMENT: u64 = 4 << 20;

/// Why a document is rejected.
#[derive(Debug, Error)]
pub enum DocumentError {
    /// Not JSON.
    #[error("it is not valid JSON")]
    Json(#[from] serde_json::Error),
    /// Too large.
    #[error("it has {0} bytes; expected at most {MAX_DOCUMENT} for a manifest or index")]
    TooLarge(u64),
    /// A field is missing or invalid.
    #[error("its `{field}` is {found}; expected {expected}")]
    Field {
        /// The field.
        field: &'static str,
        /// The expected value.
        expected: &'static str,
        /// The actual value, shortened.
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

/// Parses a document of limited size.
fn parse(bytes: &[u8]) -> Result<Value, DocumentError> {
    if bytes.len() as u64 > MAX_DOCUMENT {
        return Err(DocumentError::TooLarge(bytes.len() as u64));
    }
    Ok(serde_json::from_slice(bytes)?)
}

// Compiles and runs the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
