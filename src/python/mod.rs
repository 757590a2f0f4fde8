//! What Python writes: JSON, `repr` and dates.
//!
//! The image's documents hold text that Python's standard library formats, and an image's ID is
//! the digest of that text. Everything here is pure: values in, text out.

pub mod json;
pub mod repr;
pub mod time;

mod iso_format;
