//! What is fuzzed: a function for each kind of input that others write. Each panics if the input is
//! handled wrongly, by a crash or by an answer that contradicts another one.
//!
//! `fuzz/fuzz_targets` calls them with inputs that libFuzzer makes up, and `tests/fuzz.rs` with the
//! inputs in `fuzz/seeds`.

pub mod archives;
pub mod documents;
pub mod http;
pub mod layers;
pub mod parts;
pub mod plans;
pub mod scratch;
pub mod storage;
pub mod texts;

/// A target: a function that is given an input.
pub type Target = fn(&[u8]);

/// All targets by their names.
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
