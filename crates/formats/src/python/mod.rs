//! What Python writes: JSON, `repr` and dates; and the numbers that it reads.
//!
//! The image's documents hold text that Python's standard library formats, and an image's ID is
//! the digest of that text. Everything here is pure: values in, text out, or text in, values out.

pub mod json;
pub mod number;
pub mod repr;
pub mod time;

mod iso_format;
