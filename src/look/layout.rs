//! Columns and trees.

/// How a cell is aligned in its column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

/// Formats rows in columns, below a line of headings.
pub(super) fn table(columns: &[(&str, Side)], rows: &[Vec<String>]) -> String {
    let length = |text: &str| text.chars().count();
    let widths: Vec<_> = (columns.iter().enumerate())
        .map(|(column, (heading, _))| {
            let cells = rows.iter().map(|row| length(&row[column]));
            cells.chain([length(heading)]).max().unwrap_or_default()
        })
        .collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut line = String::new();
        for ((cell, width), (_, side)) in cells.zip(&widths).zip(columns) {
            let space = " ".repeat(width - length(cell));
            match side {
                Side::Left => line.extend([cell, &space, "  "]),
                Side::Right => line.extend([&space, cell, "  "]),
            }
        }
        line.truncate(line.trim_end().len());
        line + "\n"
    };
    let head = line(&mut columns.iter().map(|(heading, _)| *heading));
    let rows = rows.iter().map(|row| line(&mut row.iter().map(String::as_str)));
    head + &rows.collect::<String>()
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
        assert_eq!(table(&columns, &rows), " A  NAME     B\n10  é        1\n 5  longer  22\n");
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
