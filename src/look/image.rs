//! The contents of an image and their sizes, as a table.

use contents::{Closure, Contents};
use formats::peer_text;

use super::layout::{Side, table};
use super::{bytes, few, name_of};
use crate::report::count;

/// Length of the largest layer's bar, in characters.
const BAR: u64 = 20;
/// Maximum number of listed paths, and of listed groups of equal files.
const LISTED: usize = 10;

/// Layers, the largest paths, and what could be saved.
pub(crate) fn text(contents: &Contents) -> String {
    let totals = format!(
        "{}\n{} in {}, {}\n",
        peer_text::plain(&contents.name),
        bytes(contents.size()),
        count(contents.layers.len(), "layer"),
        count(contents.paths.len(), "store path"),
    );
    let parts = [totals, layers(contents), paths(contents), waste(contents)];
    let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join("\n")
}

fn layers(contents: &Contents) -> String {
    let largest = contents.layers.iter().map(|layer| layer.size).max().unwrap_or(0).max(1);
    let row = |(number, layer): (usize, &contents::Layer)| {
        // Every layer that is not empty has a visible bar.
        let length = (layer.size * BAR).div_ceil(largest);
        let path = layer.parts.iter().max_by_key(|part| part.bytes);
        vec![
            (number + 1).to_string(),
            bytes(layer.size),
            "█".repeat(usize::try_from(length).unwrap_or_default()),
            layer.parts.len().to_string(),
            path.map_or("(no store path)".to_owned(), |part| name_of(contents, part.path)),
        ]
    };
    let rows: Vec<_> = contents.layers.iter().enumerate().map(row).collect();
    let columns = [
        ("LAYER", Side::Right),
        ("SIZE", Side::Right),
        ("", Side::Left),
        ("PATHS", Side::Right),
        ("LARGEST", Side::Left),
    ];
    table(&columns, &rows)
}

fn paths(contents: &Contents) -> String {
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
    let more = contents.paths.len() - rows.len();
    let more = if more == 0 { String::new() } else { format!("and {more} more\n") };
    table(&columns, &rows) + &more
}

fn waste(contents: &Contents) -> String {
    let equal = contents.duplicates.as_ref().filter(|equal| equal.bytes > 0).map(|equal| {
        let rows = equal.groups.iter().take(LISTED).map(|copies| {
            let first = copies.files.first().map_or("", String::as_str);
            vec![format!("{} ×", copies.count), bytes(copies.size), peer_text::plain(first)]
        });
        let columns = [("COPIES", Side::Right), ("EACH", Side::Right), ("FIRST", Side::Left)];
        let wasted = bytes(equal.bytes);
        let least = bytes(equal.least);
        format!("Equal files of {least} or more: storing each once would save {wasted}\n")
            + &table(&columns, &rows.collect::<Vec<_>>())
    });
    let hidden = (contents.hidden > 0).then(|| {
        let hidden = bytes(contents.hidden);
        format!("Hidden: {hidden} in lower layers, replaced or removed by upper layers\n")
    });
    [equal, hidden].into_iter().flatten().collect()
}
