//! What images contain, as text for people and as JSON for programs.

pub(crate) mod budget;
pub(crate) mod difference;
pub(crate) mod image;
mod layout;
pub(crate) mod reasons;

pub(crate) use contents::picture::bytes;
use contents::{Contents, names};
use formats::peer_text;

/// A store path without its hash, safe to display.
fn name_of(contents: &Contents, path: usize) -> String {
    peer_text::plain(names::full_name(&contents.paths[path].path))
}

/// The names of the first few paths, and the number of the others.
fn few(contents: &Contents, paths: &[usize], shown: usize) -> String {
    let names = paths.iter().take(shown).map(|&path| name_of(contents, path));
    let names = names.collect::<Vec<_>>().join(", ");
    match paths.len().saturating_sub(shown) {
        0 => names,
        more => format!("{names} and {more} more"),
    }
}
