//! Python's output formats (JSON, `repr` and dates), and its parsing of numbers.
//!
//! The image's documents contain text formatted by Python's standard library, and an image's ID is
//! the digest of that text. Everything here is pure: values in, text out, or text in, values out.

pub mod json;
pub mod number;
pub mod repr;
pub mod time;

mod iso_format;
