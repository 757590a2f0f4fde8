//! Columns and trees.

/// How a cell is aligned in its column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
    /// To the left, and never shortened.
    Bar,
}

/// The fewest characters to which text is shortened.
const SHORTEST: usize = 12;
/// Between columns.
const GAP: &str = "  ";

/// Formats rows in columns, below a line of headings. In lines of at most `width` characters, text
/// is shortened, and what still does not fit is left out from the right.
pub(super) fn table(columns: &[(&str, Side)], rows: &[Vec<String>], width: usize) -> String {
    let widths = widths(columns, rows, width);
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut line = String::new();
        for ((cell, &width), (_, side)) in cells.zip(&widths).zip(columns) {
            let cell = shortened(cell, width);
            let space = " ".repeat(width - length(&cell));
            match side {
                Side::Left | Side::Bar => line.extend([&cell, &space, GAP]),
                Side::Right => line.extend([&space, cell.as_str(), GAP]),
            }
        }
        line.truncate(line.trim_end().len());
        line + "\n"
    };
    let head = line(&mut columns.iter().map(|(heading, _)| *heading));
    let rows = rows.iter().map(|row| line(&mut row.iter().map(String::as_str)));
    head + &rows.collect::<String>()
}

/// The widths of the columns that fit. The widest texts are shortened first.
fn widths(columns: &[(&str, Side)], rows: &[Vec<String>], width: usize) -> Vec<usize> {
    let of_column = |(column, (heading, _)): (usize, &(&str, Side))| {
        let cells = rows.iter().map(|row| length(&row[column]));
        cells.chain([length(heading)]).max().unwrap_or_default()
    };
    let mut widths: Vec<_> = columns.iter().enumerate().map(of_column).collect();
    let total = |widths: &[usize]| {
        widths.iter().sum::<usize>() + GAP.len() * widths.len().saturating_sub(1)
    };
    while total(&widths) > width && !widths.is_empty() {
        let texts = widths.iter_mut().zip(columns).filter(|(_, (_, side))| *side == Side::Left);
        let long = texts.map(|(width, (heading, _))| (width, SHORTEST.max(length(heading))));
        match long.filter(|(width, least)| **width > *least).max_by_key(|(width, _)| **width) {
            Some((width, _)) => *width -= 1,
            None => drop(widths.pop()),
        }
    }
    widths
}

fn length(text: &str) -> usize {
    text.chars().count()
}

/// The text in at most `width` characters, without its middle if it is too long: the ends of names
/// and paths tell more than their middles. No number is cut, as `18 more` would be wrong.
fn shortened(text: &str, width: usize) -> String {
    let length = length(text);
    if length <= width {
        return text.to_owned();
    }
    let kept = width.saturating_sub(1);
    let mut end = text.chars().skip(length - kept / 2 - 1);
    let cuts_number = end.next().is_some_and(|last| last.is_ascii_digit());
    let end = end.skip_while(|next| cuts_number && next.is_ascii_digit());
    text.chars().take(kept.div_ceil(2)).chain(['…']).chain(end).collect()
}

/// A tree that starts at the roots. A node with branches that was shown before is marked with `…`,
/// and its branches are not repeated.
pub(super) fn tree(
    roots: &[usize],
    nodes: usize,
    branches: impl Fn(usize) -> Vec<usize>,
    label: impl Fn(usize) -> String,
) -> String {
    let mut seen = vec![false; nodes];
    let mut text = String::new();
    // Not recursive: closures may be many thousands of paths deep. Each waiting node has the prefix
    // of its line, and whether it is the last branch of its parent, which is `None` for a root.
    let mut waiting: Vec<(usize, String, Option<bool>)> = Vec::new();
    waiting.extend(roots.iter().rev().map(|&root| (root, String::new(), None)));
    while let Some((node, mut front, is_last)) = waiting.pop() {
        text += &front;
        match is_last {
            Some(true) => text += "└─ ",
            Some(false) => text += "├─ ",
            None => {}
        }
        text += &label(node);
        let next = branches(node);
        if std::mem::replace(&mut seen[node], true) && !next.is_empty() {
            text += " …\n";
            continue;
        }
        text.push('\n');
        front += match is_last {
            Some(true) => "   ",
            Some(false) => "│  ",
            None => "",
        };
        let last = next.len().saturating_sub(1);
        let next = next.iter().enumerate().rev();
        waiting.extend(next.map(|(place, &to)| (to, front.clone(), Some(place == last))));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let columns = [("A", Side::Right), ("NAME", Side::Left), ("B", Side::Right)];
        let rows = [["10", "é", "1"], ["5", "longer", "22"]];
        let rows = rows.map(|row| row.map(str::to_owned).to_vec());
        let expected = " A  NAME     B\n10  é        1\n 5  longer  22\n";
        assert_eq!(table(&columns, &rows, usize::MAX), expected);
    }

    #[test]
    fn long_texts_give_way_to_the_terminal() {
        let columns = [("PATH", Side::Left), ("SIZE", Side::Right), ("USED BY", Side::Left)];
        let rows = [["coreutils-9.1", "10.2 kB", "hello-57, hello-29 and 118 more"]];
        let rows = rows.map(|row| row.map(str::to_owned).to_vec());
        for (width, expected) in [
            (55, "coreutils-9.1  10.2 kB  hello-57, hello-29 and 118 more"),
            (54, "coreutils-9.1  10.2 kB  hello-57, hello… and 118 more"),
            (40, "coreutils-9.1  10.2 kB  hello-57… more"),
            (36, "coreutils-9.1  10.2 kB  hello-… more"),
            (35, "coreut…s-9.1  10.2 kB  hello-… more"),
            (34, "coreut…s-9.1  10.2 kB"),
            (20, "coreut…s-9.1"),
            (11, ""),
        ] {
            let text = table(&columns, &rows, width);
            let line = text.lines().nth(1).unwrap();
            assert!(length(line) <= width, "{width}: {line}");
            assert_eq!(line, expected, "{width}");
        }
    }

    #[test]
    fn a_node_with_branches_is_spread_once() {
        let branches = [vec![1, 2], vec![2, 3], vec![3], vec![]];
        let shown = tree(&[0], 4, |node| branches[node].clone(), |node| node.to_string());
        assert_eq!(shown, "0\n├─ 1\n│  ├─ 2\n│  │  └─ 3\n│  └─ 3\n└─ 2 …\n");
    }

    #[test]
    fn a_circle_ends() {
        let shown = tree(&[0], 2, |node| vec![1 - node], |node| node.to_string());
        assert_eq!(shown, "0\n└─ 1\n   └─ 0 …\n");
    }
}
