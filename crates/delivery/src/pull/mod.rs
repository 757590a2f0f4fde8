//! Fetches images from a registry into an archive, or records them in a lock file.
//!
//! A [`Source`] is an image that was found: its documents. [`write_archive`] reads its layers and
//! checks each against the digest of its blob and its diffID.

mod archive;
mod blob;
mod decompress;
mod error;
mod layers;
mod layout;
mod legacy;
mod lock;
mod name;
mod source;

pub use archive::write_archive;
pub use blob::write_blob;
pub use error::PullError;
pub use layout::write_oci_archive;
pub use lock::lock;
pub use name::FinalName;
pub use source::Source;
