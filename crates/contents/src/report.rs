//! An image as a self-contained HTML page: the picture, tables to sort and search, and why each
//! path is there. It needs no network.

use serde_json::{Value, json};

use super::{Contents, Difference, LayerCount, names, picture};

/// The template. Words in double braces are replaced.
const PAGE: &str = include_str!("report.html");

/// The page of one image, or of several images in order, which shows the last one and the history
/// of all. `None` without images.
pub fn of_images(images: &[Contents]) -> Option<String> {
    let last = images.last()?;
    Some(fill(last, &picture::of_image(last), &history(images), &Value::Null))
}

/// The page of a difference, which shows the new image.
pub fn of_difference(old: &Contents, new: &Contents, difference: &Difference) -> String {
    let picture = picture::of_difference(old, new, difference);
    let path = |contents: &Contents, place: Option<usize>| {
        place.map(|place| json!([contents.paths[place].path, contents.paths[place].size]))
    };
    let changes = difference.changes.iter().map(|change| {
        json!({ "name": change.name, "old": path(old, change.old), "new": path(new, change.new) })
    });
    let count = |count: &LayerCount| json!([count.layers, count.bytes]);
    let changes = json!({
        "old": { "name": old.name, "size": old.size() },
        "moved": count(&difference.moved),
        "unpacked": count(&difference.unpacked),
        "kept": difference.kept,
        "rows": changes.collect::<Vec<_>>(),
    });
    fill(new, &picture, &Value::Null, &changes)
}

/// How each image differs from the one before it.
fn history(images: &[Contents]) -> Value {
    if images.len() < 2 {
        return Value::Null;
    }
    let row = |(place, image): (usize, &Contents)| {
        let before = place.checked_sub(1).map(|before| Difference::of(&images[before], image));
        json!({
            "name": image.name,
            "size": image.size(),
            "layers": image.layers.len(),
            "moved": before.as_ref().map(|difference| difference.moved.bytes),
            "unpacked": before.as_ref().map(|difference| difference.unpacked.bytes),
            "changes": before.as_ref().map(|difference| difference.changes.len()),
            "largest": before.map(|difference| largest(&images[place - 1], image, &difference)),
        })
    };
    images.iter().enumerate().map(row).collect()
}

/// The largest changes: for each, the package's name, the old and new versions, and the change in
/// bytes.
fn largest(old: &Contents, new: &Contents, difference: &Difference) -> Vec<Value> {
    /// More do not fit into a row.
    const SHOWN: usize = 4;
    let side = |contents: &Contents, place: Option<usize>| {
        let path = place.map(|place| &contents.paths[place]);
        let version = path.map(|path| names::package(&path.path).1.to_owned());
        (version, path.map_or(0, |path| path.size))
    };
    let rows = difference.changes.iter().map(|change| {
        let ((before, from), (after, to)) = (side(old, change.old), side(new, change.new));
        // A rebuilt path is transferred completely.
        let grown = i128::from(to) - i128::from(from);
        (from.max(to), json!([change.name, before, after, grown as i64]))
    });
    let mut rows: Vec<_> = rows.collect();
    rows.sort_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
    rows.into_iter().take(SHOWN).map(|(_, row)| row).collect()
}

fn fill(contents: &Contents, picture: &str, history: &Value, changes: &Value) -> String {
    let layers = contents.layers.iter().map(|layer| {
        let parts = layer.parts.iter().map(|part| json!([part.path, part.bytes]));
        json!({
            "diffId": layer.diff_id.to_string(),
            "size": layer.size,
            "other": layer.other_bytes(),
            "parts": parts.collect::<Vec<_>>(),
        })
    });
    let paths = contents.paths.iter().map(|path| {
        json!({ "path": path.path, "size": path.size, "entries": path.entries, "layer": path.layer })
    });
    let duplicates = contents.duplicates.as_ref().map(|duplicates| {
        let groups = duplicates.groups.iter().take(100);
        let groups = groups.map(
            |copies| json!({ "size": copies.size, "count": copies.count, "files": copies.files }),
        );
        json!({
            "bytes": duplicates.bytes,
            "groups": groups.collect::<Vec<_>>(),
            "least": duplicates.least,
        })
    });
    let data = json!({
        "name": contents.name,
        "size": contents.size(),
        "layers": layers.collect::<Vec<_>>(),
        "paths": paths.collect::<Vec<_>>(),
        "references": contents.references.as_ref().map(|references| &references.0),
        "duplicates": duplicates,
        "history": history,
        "changes": changes,
    });
    // In a script, nothing else can end it or be mistaken for markup.
    let data = data
        .to_string()
        .replace('<', "\\u003c")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029");
    let title = picture::escape(&contents.name);
    // In one pass, so that nothing in a value is mistaken for a placeholder.
    let mut page = String::with_capacity(PAGE.len() + picture.len() + data.len());
    let mut rest = PAGE;
    while let Some((before, after)) = rest.split_once("{{") {
        page.push_str(before);
        let Some((word, after)) = after.split_once("}}") else { break };
        page.push_str(match word {
            "title" => &title,
            "picture" => picture,
            _ => &data,
        });
        rest = after;
    }
    page.push_str(rest);
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Census;
    use formats::digest::Digest;

    fn image(name: &str, size: u64) -> Contents {
        let mut census = Census::new("/nix/store");
        census.begin_layer(Digest::of(&size.to_le_bytes()), size + 2048);
        census.entry(format!("/nix/store/{}-app", "a".repeat(32)).as_bytes(), size);
        census.finish(name, None, None)
    }

    #[test]
    fn a_name_cannot_break_out_of_the_page() {
        let page = of_images(&[image("</script><b>{{picture}}", 5)]).unwrap();
        assert!(!page.contains("</script><b>"));
        assert!(page.contains("<title>&lt;/script&gt;&lt;b&gt;{{picture}}"), "{page}");
        assert_eq!(page.matches("<svg").count(), 1);
        assert_eq!(page.matches("</script>").count(), 1);
    }

    #[test]
    fn several_images_are_a_history() {
        let images = [image("app:1", 5), image("app:2", 7)];
        let history = history(&images);
        assert_eq!(history[0]["moved"], Value::Null);
        assert_eq!(history[1]["moved"], json!(7 + 2048));
        assert_eq!(self::history(&images[..1]), Value::Null);
        assert_eq!(of_images(&[]), None);
    }
}
