//! Formats that must be, byte for byte, what other programs write or read.
//!
//! Pure: nothing here opens a file or a connection.

pub mod digest;
pub mod go_json;
pub mod json;
pub mod peer_text;
pub mod python;
pub mod sha256;
pub mod tar;
pub mod tar_split;
pub mod tarsum;
