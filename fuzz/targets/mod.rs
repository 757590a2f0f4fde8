//! The fuzz targets: a function for each kind of untrusted input. Each panics if the input is
//! handled wrongly, through a crash or through results that contradict each other.
//!
//! `fuzz/fuzz_targets` calls them with inputs from libFuzzer, and `tests/fuzz.rs` with those in
//! `fuzz/seeds`.

pub mod archives;
pub mod documents;
pub mod http;
pub mod layers;
pub mod parts;
pub mod plans;
pub mod scratch;
pub mod storage;
pub mod texts;

/// A target: a function that takes an input.
pub type Target = fn(&[u8]);

/// All targets by name.
pub const ALL: &[(&str, Target)] = &[
    ("archive", archives::archive),
    ("changes", layers::changes),
    ("chunks", http::chunks),
    ("codec", layers::codec),
    ("conf", documents::conf),
    ("date", texts::date),
    ("export", layers::export),
    ("head", http::head),
    ("image", archives::image),
    ("index", documents::index),
    ("json", texts::json),
    ("manifest", documents::manifest),
    ("members", layers::members),
    ("nar_hash", documents::nar_hash),
    ("pipeline", plans::pipeline),
    ("plan", plans::plan),
    ("reference", texts::reference),
    ("script", documents::script),
    ("series", plans::series),
    ("storage", storage::storage),
    ("tar_split", layers::tar_split),
    ("text", texts::text),
];
