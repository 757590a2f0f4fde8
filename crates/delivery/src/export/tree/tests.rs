use super::*;

/// Splits a path at its slashes.
fn names(path: &str) -> Vec<&[u8]> {
    path.split('/').filter(|name| !name.is_empty()).map(str::as_bytes).collect()
}

fn with_mode(mode: u32) -> Metadata {
    Metadata { mode, ..Metadata::default() }
}

fn symlink(target: &str) -> Inode {
    Inode { metadata: with_mode(0o777), content: Content::Symlink(target.as_bytes().into()) }
}

/// A tree made from layers, each a list of words: `a/` is a directory, `a` a pipe, `a=b` a hard
/// link, `a>b` a symbolic link, `-a` a whiteout and `a/-` an opaque directory.
pub(in crate::export) fn tree(layers: &[&str]) -> Result<Tree, Problem> {
    let mut tree = Tree::new();
    for (number, layer) in layers.iter().enumerate() {
        tree.begin_layer();
        let mode = number as u32 + 1;
        for word in layer.split_whitespace() {
            if let Some(hidden) = word.strip_prefix('-') {
                let path = names(hidden);
                let (name, parents) = path.split_last().unwrap();
                tree.hide(parents, name)?;
            } else if let Some(directory) = word.strip_suffix("/-") {
                tree.hide_all(&names(directory))?;
            } else if let Some((path, target)) = word.split_once('=') {
                tree.put_link(&names(path), &names(target), with_mode(mode))?;
            } else if let Some((path, target)) = word.split_once('>') {
                tree.put(&names(path), symlink(target))?;
            } else if word.ends_with('/') {
                tree.put_directory(&names(word), with_mode(mode))?;
            } else {
                let metadata = with_mode(mode);
                tree.put(&names(word), Inode { metadata, content: Content::Fifo })?;
            }
        }
    }
    Ok(tree)
}

/// The content of a tree: each path with its mode, and with the number of its inode.
pub(in crate::export) fn show(tree: &Tree) -> String {
    let mut shown = Vec::new();
    tree.visit(|path, visited| {
        let path = String::from_utf8_lossy(&path[2..]).into_owned();
        match visited {
            _ if path.is_empty() => {}
            Visited::Directory(metadata) => shown.push(format!("{path}{:o}", metadata.mode)),
            Visited::Inode(number, inode) => match &inode.content {
                Content::Symlink(target) => {
                    shown.push(format!("{path}>{}", String::from_utf8_lossy(target)));
                }
                _ => shown.push(format!("{path}:{number}:{:o}", inode.metadata.mode)),
            },
        }
        Ok::<_, Problem>(())
    })
    .unwrap();
    shown.join(" ")
}

#[test]
fn later_layers_win() {
    for (layers, expected) in [
        // Sorted, and directories before their content.
        (&["b a-b a/ a/x"][..], "a/1 a/x:2:1 a-b:1:1 b:0:1"),
        (&["a/x", "a/y"], "a/755 a/x:0:1 a/y:1:2"),
        (&["a/ a/x", "a/"], "a/2 a/x:0:1"),
        // Types change.
        (&["a/ a/x", "a"], "a:1:2"),
        (&["a", "a/ a/x"], "a/2 a/x:1:2"),
        (&["a>b b/", "a/x"], "a/755 a/x:1:2 b/1"),
        // A link in the same layer is followed.
        (&["b/ a>b a/x"], "a>b b/1 b/x:1:1"),
        (&["b/c/ a>/b b/d>../e e/ a/d/x"], "a>/b b/755 b/c/1 b/d>../e e/1 e/x:2:1"),
        // Whiteouts.
        (&["a b", "-a"], "b:1:1"),
        (&["a/ a/x", "-a"], ""),
        (&["a/x a/y", "-a/x"], "a/755 a/y:1:1"),
        (&["a", "-a a"], "a:1:2"),
        (&["a", "a -a"], "a:1:2"),
        (&["a/ a/x", "a/y -a"], "a/1 a/y:1:2"),
        (&["", "-a/b"], "a/755"),
        // Opaque directories, in either order.
        (&["a/ a/x a/b/z", "a/ a/- a/y"], "a/2 a/y:2:2"),
        (&["a/ a/x a/b/z", "a/b/y a/-"], "a/1 a/b/755 a/b/y:2:2"),
        (&["a b", "/-"], ""),
    ] {
        assert_eq!(show(&tree(layers).unwrap()), expected, "{layers:?}");
    }
}

#[test]
fn links_keep_what_they_are_links_to() {
    for (layers, expected) in [
        (&["a b=a"][..], "a:0:1 b:0:1"),
        // Removed or replaced in a later layer.
        (&["a b=a", "-a"], "b:0:1"),
        (&["a b=a", "a"], "a:1:2 b:0:1"),
        (&["a", "b=a", "-a"], "b:0:2"),
        (&["a", "b=a a"], "a:1:2 b:0:2"),
        (&["a/x", "b=a/x", "-a"], "b:0:2"),
        (&["u/x l>u", "b=l/x"], "b:0:2 l>u u/755 u/x:0:2"),
        (&["s>t h=s"], "h>t s>t"),
    ] {
        assert_eq!(show(&tree(layers).unwrap()), expected, "{layers:?}");
    }
}

#[test]
fn what_has_no_place_is_refused() {
    for (layers, expected) in [
        (&["a a/b"][..], Problem::NotADirectory),
        (&["a>a a/b"], Problem::Links),
        (&["a>b b>a a/b"], Problem::Links),
        (&["a=b"], Problem::NoTarget("b".into())),
        (&["b/ a=b"], Problem::LinkedDirectory("b".into())),
        (&["a=/"], Problem::LinkedDirectory(String::new())),
    ] {
        assert_eq!(tree(layers).map(|tree| show(&tree)), Err(expected), "{layers:?}");
    }
    let mut tree = Tree::new();
    assert_eq!(tree.put(&[], symlink("a")), Err(Problem::Root));
    // A path with many components must not overflow the stack.
    let deep = vec![&b"a"[..]; 2000];
    tree.begin_layer();
    tree.put(&deep, symlink("a")).unwrap();
    tree.hide(&[], b"a").unwrap();
}
