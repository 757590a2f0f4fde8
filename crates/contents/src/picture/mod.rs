//! Draws the contents of an image as an SVG: a box for each store path, sized by its bytes.
//!
//! The picture is self-contained: no script, no font, no network. It has colours for light and dark
//! backgrounds, and a box shows its details when the pointer rests on it.

mod style;

use std::collections::HashSet;
use std::fmt::Write as _;

use super::treemap::{Rectangle, divide};
use super::{Contents, Difference, names};
use style::style;

/// Width and height of the picture, in pixels.
const SIZE: (f64, f64) = (1200.0, 720.0);
/// Height of the line of text above the boxes.
const HEADER: f64 = 34.0;
/// The minimum and maximum share of the boxes' height for the strip of removed paths, in pictures
/// of differences. In between, its boxes are on the same scale as the others.
const GONE: (f64, f64) = (0.12, 0.7);
/// Height of the line of text above that strip.
const GONE_HEADER: f64 = 22.0;
/// Boxes below this area are drawn without a name.
const NAMED: f64 = 1500.0;
/// The approximate width of a letter in names.
const LETTER: f64 = 6.6;

/// A box to be drawn.
struct Item {
    /// The path's index, by which the report finds the box.
    place: usize,
    label: String,
    title: String,
    bytes: u64,
    /// The class that determines the colour.
    class: String,
}

/// The picture of one image. Layers are side by side, each with a colour.
pub fn of_image(contents: &Contents) -> String {
    let header = format!(
        "{}: {} in {} layers, {} store paths",
        contents.name,
        bytes(contents.size()),
        contents.layers.len(),
        contents.paths.len()
    );
    let mut groups = Vec::new();
    for (number, layer) in contents.layers.iter().enumerate() {
        let mut items: Vec<Item> = (layer.parts.iter())
            .map(|part| item(contents, part.path, part.bytes, number))
            .collect();
        let other = layer.other_bytes();
        // The padding at the end of a tar file is not worth a box.
        if other > 20_480 {
            items.push(Item {
                place: usize::MAX,
                label: "other files".to_owned(),
                title: format!("files outside the store\n{}\nlayer {}", bytes(other), number + 1),
                bytes: other,
                class: layer_class(number),
            });
        }
        groups.push(items);
    }
    draw(&header, &[], groups, Vec::new())
}

/// The picture of a difference: the new image's paths, coloured by what changed, and the removed
/// paths below them.
pub fn of_difference(old: &Contents, new: &Contents, difference: &Difference) -> String {
    let header = format!(
        "{} → {}: {} → {}, {} of {} layers to transfer ({})",
        old.name,
        new.name,
        bytes(old.size()),
        bytes(new.size()),
        difference.moved.layers,
        new.layers.len(),
        bytes(difference.moved.bytes),
    );
    let changes = &difference.changes;
    let changed: HashSet<_> =
        changes.iter().filter(|c| c.old.is_some()).filter_map(|c| c.new).collect();
    let added: HashSet<_> =
        changes.iter().filter(|c| c.old.is_none()).filter_map(|c| c.new).collect();
    let gone: HashSet<_> =
        changes.iter().filter(|c| c.new.is_none()).filter_map(|c| c.old).collect();
    let class = |place: usize| {
        if added.contains(&place) {
            "added"
        } else if changed.contains(&place) {
            "changed"
        } else {
            "kept"
        }
    };
    let sum = |state: &str| {
        let places = (0..new.paths.len()).filter(|&place| class(place) == state);
        places.map(|place| new.paths[place].size).sum()
    };
    let legend = ["added", "changed", "kept"].map(|state| (state, sum(state)));
    let paths = (0..new.paths.len())
        .map(|place| Item { class: class(place).to_owned(), ..whole(new, place, class(place)) });
    let gone = (0..old.paths.len())
        .filter(|place| gone.contains(place))
        .map(|place| Item { class: "gone".to_owned(), ..whole(old, place, "removed") });
    draw(&header, &legend, vec![paths.collect()], gone.collect())
}

/// Formats a number of bytes in decimal units, as disks and registries count.
pub fn bytes(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
    let value = bytes as f64;
    match [(1e9, "GB"), (1e6, "MB"), (1e3, "kB")].into_iter().find(|(unit, _)| value >= *unit) {
        None => format!("{bytes} bytes"),
        Some((unit, name)) => {
            let value = value / unit;
            format!("{value:.*} {name}", usize::from(value < 99.5))
        }
    }
}

fn item(contents: &Contents, place: usize, size: u64, layer: usize) -> Item {
    let path = &contents.paths[place];
    Item {
        place,
        label: names::full_name(&path.path).to_owned(),
        title: format!("{}\n{}\nlayer {}", path.path, bytes(size), layer + 1),
        bytes: size,
        class: layer_class(layer),
    }
}

fn whole(contents: &Contents, place: usize, state: &str) -> Item {
    let path = &contents.paths[place];
    Item {
        place,
        label: names::full_name(&path.path).to_owned(),
        title: format!("{}\n{}\n{state}", path.path, bytes(path.size)),
        bytes: path.size,
        class: String::new(),
    }
}

/// Twelve colours alternate, so that neighbours differ.
fn layer_class(layer: usize) -> String {
    format!("l{}", layer % 12)
}

/// Draws groups of boxes side by side, the largest first, and removed paths in a strip below.
/// `legend` lists classes of boxes and their bytes.
fn draw(
    header: &str,
    legend: &[(&str, u64)],
    mut groups: Vec<Vec<Item>>,
    mut gone: Vec<Item>,
) -> String {
    let (width, height) = SIZE;
    let sum = |items: &Vec<Item>| items.iter().map(|item| item.bytes).sum::<u64>();
    groups.sort_by_key(|items| std::cmp::Reverse(sum(items)));
    let mut out = String::new();
    let _ = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"system-ui, sans-serif\" role=\"img\">\n<style>{}</style>\n\
         <rect class=\"back\" width=\"{width}\" height=\"{height}\"/>\n\
         <text class=\"head\" x=\"8\" y=\"23\">{}</text>\n",
        style(),
        escape(header),
    );
    draw_legend(&mut out, legend);
    let gone_bytes = sum(&gone);
    let gone_height = if gone.is_empty() {
        0.0
    } else {
        let all = gone_bytes + groups.iter().map(sum).sum::<u64>();
        #[expect(clippy::cast_precision_loss, reason = "a share is drawn")]
        let share = gone_bytes as f64 / all.max(1) as f64;
        (height - HEADER - GONE_HEADER) * share.clamp(GONE.0, GONE.1) + GONE_HEADER
    };
    let whole = Rectangle {
        x: 4.0,
        y: HEADER,
        width: width - 8.0,
        height: height - HEADER - 4.0 - gone_height,
    };
    let weights: Vec<u64> = groups.iter().map(sum).collect();
    for (mut items, place) in groups.into_iter().zip(divide(&weights, whole)) {
        draw_group(&mut out, &mut items, place.inset(1.0));
    }
    if !gone.is_empty() {
        let y = height - gone_height;
        let _ = writeln!(
            out,
            "<text class=\"head\" x=\"8\" y=\"{:.1}\">removed: {}</text>",
            y + 16.0,
            bytes(gone_bytes)
        );
        let place = Rectangle {
            x: 4.0,
            y: y + GONE_HEADER,
            width: width - 8.0,
            height: gone_height - GONE_HEADER - 4.0,
        };
        draw_group(&mut out, &mut gone, place);
    }
    out.push_str("</svg>\n");
    out
}

/// Explains the colours at the right of the header.
fn draw_legend(out: &mut String, legend: &[(&str, u64)]) {
    /// Width of an entry: a square, a word, a number.
    const ENTRY: f64 = 125.0;
    let mut x = SIZE.0 - 4.0;
    for (class, size) in legend.iter().rev().filter(|(_, size)| *size > 0) {
        x -= ENTRY;
        let word = if *class == "kept" { "unchanged" } else { class };
        let _ = writeln!(
            out,
            "<rect class=\"{class}\" x=\"{x}\" y=\"12\" width=\"12\" height=\"12\"/>\
             <text x=\"{}\" y=\"22\">{word} {}</text>",
            x + 17.0,
            bytes(*size)
        );
    }
}

fn draw_group(out: &mut String, items: &mut [Item], place: Rectangle) {
    items.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.title.cmp(&b.title)));
    let weights: Vec<u64> = items.iter().map(|item| item.bytes).collect();
    for (item, place) in items.iter().zip(divide(&weights, place)) {
        // Anything below a fifth of a pixel is invisible.
        if place.width < 0.2 || place.height < 0.2 {
            continue;
        }
        draw_box(out, item, place);
    }
}

fn draw_box(out: &mut String, item: &Item, place: Rectangle) {
    let Rectangle { x, y, width, height } = place;
    let data = if item.place == usize::MAX {
        String::new()
    } else {
        format!(" data-path=\"{}\"", item.place)
    };
    let _ = write!(
        out,
        "<g{data}><title>{}</title><rect class=\"{}\" x=\"{x:.1}\" y=\"{y:.1}\" \
         width=\"{width:.1}\" height=\"{height:.1}\"/>",
        escape(&item.title),
        item.class,
    );
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "few letters")]
    let room = ((width - 8.0) / LETTER).max(0.0) as usize;
    if width * height >= NAMED && height >= 16.0 && room >= 4 {
        let label = shortened(&item.label, room);
        let _ = write!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            x + 4.0,
            y + 13.0,
            escape(&label)
        );
        if height >= 30.0 {
            let size = shortened(&bytes(item.bytes), room);
            let _ = write!(
                out,
                "<text class=\"size\" x=\"{:.1}\" y=\"{:.1}\">{size}</text>",
                x + 4.0,
                y + 26.0
            );
        }
    }
    out.push_str("</g>\n");
}

fn shortened(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.to_owned();
    }
    let mut text: String = text.chars().take(room.saturating_sub(1)).collect();
    text.push('…');
    text
}

/// Escapes a text for XML. Characters that XML does not allow are left out.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push('\n'),
            other if other.is_control() || matches!(other, '\u{fffe}' | '\u{ffff}') => {}
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Census;
    use formats::digest::Digest;

    fn image(names: &[(&str, u64)]) -> Contents {
        let mut census = Census::new("/nix/store");
        for (name, size) in names {
            census.begin_layer(Digest::of(name.as_bytes()), *size + 10_240);
            let hash = Digest::of(name.as_bytes()).hex()[..32].to_owned();
            census.entry(format!("/nix/store/{hash}-{name}").as_bytes(), *size);
        }
        census.finish("app:1 <&>", None, None)
    }

    #[test]
    fn a_box_for_each_path_with_its_name_escaped() {
        let picture = of_image(&image(&[("a&b-1", 50_000), ("large", 3_000_000)]));
        assert_eq!(picture.matches("<rect class=\"l").count(), 2);
        assert!(picture.contains("-a&amp;b-1\n50.0 kB\nlayer 1</title>"), "{picture}");
        assert!(picture.contains(">large</text>"), "{picture}");
        assert!(picture.contains("app:1 &lt;&amp;&gt;: 3.1 MB in 2 layers, 2 store paths"));
    }

    #[test]
    fn a_difference_shows_what_became_of_each_path() {
        let old = image(&[("app-1", 5000), ("gone-1", 5000), ("kept", 5000)]);
        let new = image(&[("app-2", 5000), ("new", 5000), ("kept", 5000)]);
        let picture = of_difference(&old, &new, &Difference::of(&old, &new));
        for class in ["added", "changed", "kept", "gone"] {
            let drawn = picture.matches(&format!("<rect class=\"{class}\"")).count();
            // Removed paths are labelled separately; all others are in the legend.
            assert_eq!(drawn, if class == "gone" { 1 } else { 2 }, "{class}\n{picture}");
        }
        for word in ["added 5.0 kB", "changed 5.0 kB", "unchanged 5.0 kB", "removed: 5.0 kB"] {
            assert!(picture.contains(word), "{word}\n{picture}");
        }
    }

    /// The boxes of removed paths are on the same scale as the others.
    #[test]
    fn what_is_gone_takes_its_share_of_the_picture() {
        let (old, new) = (image(&[("gone", 60_000), ("kept", 40_000)]), image(&[("kept", 40_000)]));
        let picture = of_difference(&old, &new, &Difference::of(&old, &new));
        let height = |class: &str| -> f64 {
            let (_, drawn) = picture.rsplit_once(&format!("<rect class=\"{class}\"")).unwrap();
            let (_, height) = drawn.split_once("height=\"").unwrap();
            height.split_once('"').unwrap().0.parse().unwrap()
        };
        let ratio = height("gone") / height("kept");
        assert!((ratio - 1.5).abs() < 0.05, "{ratio}");
    }

    #[test]
    fn an_empty_image_is_an_empty_picture() {
        let picture = of_image(&image(&[]));
        assert!(picture.ends_with("</svg>\n"));
        assert!(!picture.contains("NaN"), "{picture}");
    }
}
