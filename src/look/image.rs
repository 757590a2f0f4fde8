//! The contents of an image and their sizes, as a table.

use std::cmp::Reverse;

use contents::{Closure, Contents};
use formats::peer_text;

use super::layout::{Side, table};
use super::{bytes, few, name_of};
use crate::report::count;

/// Length of the largest layer's bar, in characters, and how wide a terminal must be for that.
const BAR: u64 = 20;
const WIDE: usize = 60;
/// Maximum number of listed layers, of listed paths, and of listed groups of equal files.
const LISTED: usize = 10;

/// The largest layers and paths, and what could be saved, in lines of at most `width` characters.
pub(crate) fn text(contents: &Contents, width: usize) -> String {
    let head = format!("{}\n{}\n", peer_text::plain(&contents.name), totals(contents));
    let parts = [head, layers(contents, width), paths(contents, width), waste(contents, width)];
    let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join("\n")
}

/// The image's size, and how many layers and store paths it has.
pub(crate) fn totals(contents: &Contents) -> String {
    let layers = count(contents.layers.len(), "layer");
    let paths = count(contents.paths.len(), "store path");
    format!("{} in {layers}, {paths}", bytes(contents.size()))
}

fn layers(contents: &Contents, width: usize) -> String {
    let bar = if width < WIDE { BAR / 2 } else { BAR };
    let largest = contents.layers.iter().map(|layer| layer.size).max().unwrap_or(0).max(1);
    let row = |(number, layer): (usize, &contents::Layer)| {
        // Every layer that is not empty has a visible bar.
        let length = (layer.size * bar).div_ceil(largest);
        let path = layer.parts.iter().max_by_key(|part| part.bytes);
        vec![
            (number + 1).to_string(),
            bytes(layer.size),
            "█".repeat(usize::try_from(length).unwrap_or_default()),
            layer.parts.len().to_string(),
            path.map_or("(no store path)".to_owned(), |part| name_of(contents, part.path)),
        ]
    };
    let mut listed: Vec<_> = contents.layers.iter().enumerate().collect();
    listed.sort_by_key(|(_, layer)| Reverse(layer.size));
    listed.truncate(LISTED);
    listed.sort_by_key(|(number, _)| *number);
    let rows: Vec<_> = listed.into_iter().map(row).collect();
    let columns = [
        ("LAYER", Side::Right),
        ("SIZE", Side::Right),
        ("", Side::Bar),
        ("PATHS", Side::Right),
        ("LARGEST", Side::Left),
    ];
    table(&columns, &rows, width) + &more(contents.layers.len() - rows.len())
}

/// How many others there are.
fn more(others: usize) -> String {
    if others == 0 { String::new() } else { format!("and {others} more\n") }
}

fn paths(contents: &Contents, width: usize) -> String {
    if contents.paths.is_empty() {
        return String::new();
    }
    let closure = Closure::of(contents);
    let mut columns = vec![("PATH", Side::Left), ("SIZE", Side::Right), ("LAYER", Side::Right)];
    if closure.is_some() {
        columns.extend([
            ("CLOSURE", Side::Right),
            ("WOULD LEAVE", Side::Right),
            ("NEEDED BY", Side::Left),
        ]);
    }
    let row = |path: usize| {
        let it = &contents.paths[path];
        let mut row = vec![name_of(contents, path), bytes(it.size), (it.layer + 1).to_string()];
        if let Some(closure) = &closure {
            row.extend([
                bytes(closure.size(path)),
                bytes(closure.leaving_size(path)),
                few(contents, closure.users(path), 2),
            ]);
        }
        row
    };
    let rows: Vec<_> = contents.largest_paths().into_iter().take(LISTED).map(row).collect();
    table(&columns, &rows, width) + &more(contents.paths.len() - rows.len())
}

fn waste(contents: &Contents, width: usize) -> String {
    let equal = contents.duplicates.as_ref().filter(|equal| equal.bytes > 0).map(|equal| {
        let rows = equal.groups.iter().take(LISTED).map(|copies| {
            let first = copies.files.first().map_or("", String::as_str);
            vec![format!("{} ×", copies.count), bytes(copies.size), peer_text::plain(first)]
        });
        let columns = [("COPIES", Side::Right), ("EACH", Side::Right), ("FIRST", Side::Left)];
        let wasted = bytes(equal.bytes);
        let least = bytes(equal.least);
        format!("Equal files of {least} or more: storing each once would save {wasted}\n")
            + &table(&columns, &rows.collect::<Vec<_>>(), width)
    });
    let hidden = (contents.hidden > 0).then(|| {
        let hidden = bytes(contents.hidden);
        format!("Hidden: {hidden} in lower layers, replaced or removed by upper layers\n")
    });
    [equal, hidden].into_iter().flatten().collect()
}
