//! What happens to the store's files.

use super::layer::{Item, Node, Origin, Yard, contents, directory, item, same_owner, stored};
use crate::support::need_root;
use delivery::trees::{Import, Rules, Way, Ways};
use std::fs;
use std::os::unix::fs::MetadataExt as _;

fn make(yard: &Yard, import: Import, items: &[Item]) -> delivery::trees::Counts {
    yard.fill("tree", items);
    let rules = Rules::containers_storage(&same_owner, false);
    yard.make(&yard.ways(import), "tree", items, &rules).unwrap()
}

#[test]
fn a_file_as_the_layer_wants_it_is_linked() {
    need_root("own what a layer says is root's");
    let yard = Yard::new();
    let other = Node::File { content: b"12".to_vec(), origin: Origin::Different };
    let items = [directory("d"), stored("d/a", "1234"), item("d/b", 0o555, other)];
    let counts = make(&yard, Import::Link, &items);
    assert_eq!((counts.linked.files, counts.linked.bytes), (1, 4));
    assert_eq!((counts.copied.files, counts.copied.bytes), (1, 2));
    assert_eq!(counts.others, 1);
    let inode = |path| fs::metadata(path).unwrap().ino();
    assert_eq!(inode(yard.tree("tree/d/a")), inode(yard.stored("tree", 1)));
    assert_ne!(inode(yard.tree("tree/d/b")), inode(yard.stored("tree", 2)));
}

#[test]
fn a_file_with_attributes_of_its_own_is_not_linked() {
    need_root("give attributes");
    let yard = Yard::new();
    let mut with = stored("b", "x");
    with.xattrs.push(("user.test".into(), b"value".to_vec()));
    let items = [stored("a", "x"), with];
    yard.fill("tree", &items);
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(yard.stored("tree", 0), "user.store", b"x", flags).unwrap();
    let rules = Rules::containers_storage(&same_owner, false);
    let counts = yard.make(&yard.ways(Import::Link), "tree", &items, &rules).unwrap();
    assert_eq!((counts.linked.files, counts.copied.files), (0, 2));
    let tree = contents(&yard.tree("tree"));
    assert!(!tree[b"./a".as_slice()].contains("user."));
    assert!(tree[b"./b".as_slice()].ends_with("user.test=value"));
}

#[test]
fn a_file_of_another_size_is_not_taken() {
    need_root("own what a layer says is root's");
    for import in [Import::Link, Import::Copy] {
        let yard = Yard::new();
        let items = [stored("a", "1234")];
        yard.fill("tree", &items);
        fs::write(yard.stored("tree", 0), "12345").unwrap();
        let rules = Rules::containers_storage(&same_owner, false);
        let error = yard.make(&yard.ways(import), "tree", &items, &rules).unwrap_err();
        assert!(error.to_string().contains("has 5 bytes, expected 4"), "{error}");
    }
}

#[test]
fn nothing_of_a_trial_is_left() {
    let yard = Yard::new();
    for import in [Import::Auto, Import::Link, Import::Copy] {
        let found = Ways::find(&yard.store, &yard.target, import, None).unwrap();
        let expected = if import == Import::Copy { Way::Copy } else { Way::Link };
        assert_eq!((found.way(), found.why_not_better()), (expected, None));
    }
    assert_eq!(contents(&yard.target).len(), 1);
    assert_eq!(fs::metadata(yard.store.join("sample")).unwrap().nlink(), 1);
}
