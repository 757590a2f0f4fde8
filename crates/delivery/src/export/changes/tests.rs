use super::*;
use crate::export::paths::{self, Meaning};
use crate::export::tree::tests::{show, tree};

/// Different trees of the same few names.
const TREES: [&str; 20] = [
    "",
    "a",
    "a b",
    "a b=a",
    "a b=a c=b",
    "a b=a c",
    "a/",
    "a/ a/x a/y",
    "a/ a/x b/ b/x=a/x",
    "a/ a/x a/b/ a/b/y",
    "a/ a/b/ a/b/y a/b/z",
    "b/ b/x a>b",
    "a>b b",
    "a>c b>a",
    "a/ a/b>x",
    "a/ a/b/ a/b/c/ a/b/c/d",
    "b/ b/b/ b/b/c/ b/b/c/d",
    "a/ a-b a.b a/b",
    "a/ b a/x=b",
    "c/ c/x c/y=c/x a=c/x",
];

/// Applies a layer to the tree below it.
fn apply(below: &str, layer: &Tree) -> Tree {
    let mut made = tree(&[below]).unwrap();
    made.begin_layer();
    let mut firsts: HashMap<usize, Vec<u8>> = HashMap::new();
    layer
        .visit(|path, visited| {
            let path = names(path);
            if let Some((name, directory)) = path.split_last()
                && let Ok(Meaning::Whiteout(hidden)) = paths::meaning(name)
            {
                return made.hide(directory, hidden);
            }
            match visited {
                Visited::Directory(metadata) => made.put_directory(&path, metadata.clone()),
                Visited::Inode(number, inode) => {
                    if let Some(first) = firsts.get(&number) {
                        return made.put_link(&path, &names(first), inode.metadata.clone());
                    }
                    firsts.insert(number, [&b"./"[..], &path.join(&b'/')].concat());
                    made.put(&path, inode.clone())
                }
            }
        })
        .unwrap();
    made
}

/// A tree as by `show`, but with its inodes numbered in the order of their first names.
fn numbered(tree: &Tree) -> String {
    let mut numbers = Vec::new();
    let words = show(tree);
    let words = words.split(' ').map(|word| {
        let parts: Vec<_> = word.split(':').collect();
        let [name, number, mode] = parts[..] else { return word.to_owned() };
        let known = numbers.iter().position(|known| known == number).unwrap_or_else(|| {
            numbers.push(number.to_owned());
            numbers.len() - 1
        });
        format!("{name}:{known}:{mode}")
    });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn a_layer_of_changes_makes_one_tree_of_another() {
    for before in TREES {
        for after in TREES {
            // With a layer below, everything in the other tree has another mode.
            for lower in [&[after][..], &["", after]] {
                let (base, wanted) = (tree(&[before]).unwrap(), tree(lower).unwrap());
                let layer = changes(&base, &wanted, &Contents::default()).unwrap();
                let made = apply(before, &layer);
                assert_eq!(numbered(&made), numbered(&wanted), "{before:?} to {lower:?}");
            }
        }
        let base = tree(&[before]).unwrap();
        let layer = changes(&base, &base, &Contents::default()).unwrap();
        assert_eq!(show(&layer), "", "{before:?} to itself");
    }
}

#[test]
fn layers_hold_no_more_than_what_changed() {
    for (before, after, expected) in [
        ("a b", "a b c", "c:0:1"),
        ("a b=a c", "a c", ".wh.b:0:644"),
        ("a b=a", "a b", "b:0:1"),
        ("a b", "a b=a", "a:0:1 b:0:1"),
        ("a/ a/x a/y", "a/ a/y", "a/1 a/.wh.x:0:644"),
        ("a/ a/x a/b/ a/b/y", "a/ a/x", "a/1 a/.wh.b:0:644"),
        ("a/ a/b/ a/b/y b", "a/ a/b/ a/b/y a/b/z b", "a/1 a/b/1 a/b/z:0:1"),
        ("a/ a/x", "a", "a:0:1"),
        ("a/ a/x", "b/ b/x a>b", "a>b b/1 b/x:1:1"),
        ("a>b b", "a/ a/x b", "a/1 a/x:0:1"),
    ] {
        let (base, wanted) = (tree(&[before]).unwrap(), tree(&[after]).unwrap());
        let layer = changes(&base, &wanted, &Contents::default()).unwrap();
        assert_eq!(show(&layer), expected, "{before:?} to {after:?}");
    }
}
