//! Entries that would lead out of the tree, or exceed its limits.

use super::layer::{
    Item, Yard, contents, directory, hard_link, same_owner, store_contents, stored, symlink,
};
use crate::support::need_root;
use delivery::trees::{Import, Rules, remove_tree};
use std::fs::{self, File};
use std::os::fd::AsFd as _;

/// Makes a tree in a target with other contents, and returns whether that worked. Nothing else may
/// change.
fn make(items: &[Item]) -> Result<(), String> {
    need_root("own what a layer says is root's");
    let yard = Yard::new();
    for other in ["other", "secret"] {
        fs::write(yard.target.join(other), "not the tree's").unwrap();
    }
    yard.fill("tree", items);
    let before = (store_contents(&yard.store), fs::metadata("/etc").unwrap().modified().unwrap());
    let rules = Rules::containers_storage(&same_owner, false);
    let ways = yard.ways(Import::Link);
    let made = yard.make(&ways, "tree", items, &rules);
    let after = (store_contents(&yard.store), fs::metadata("/etc").unwrap().modified().unwrap());
    assert_eq!(before, after);
    remove_tree(File::open(&yard.target).unwrap().as_fd(), "tree".as_ref()).unwrap();
    let left: Vec<_> = contents(&yard.target).into_keys().collect();
    assert_eq!(left, [b".".to_vec(), b"./other".to_vec(), b"./secret".to_vec()]);
    made.map(drop).map_err(|error| error.to_string())
}

#[test]
fn a_path_that_leads_elsewhere_is_refused() {
    for path in ["../x", "/etc/x", "a/../../other", "a//b", "a/.."] {
        let error = make(&[stored(path, "x")]).unwrap_err();
        assert!(error.starts_with(&format!("the layer's entry `{path}` is not valid")), "{error}");
    }
}

#[test]
fn a_link_on_the_way_leads_nowhere_else() {
    for target in ["/etc", "../..", "../../target", "/", "/proc/self/root", "../../../../../etc"] {
        make(&[symlink("way", target), stored("way/nix-image-test", "x")]).unwrap();
        assert!(!fs::exists("/etc/nix-image-test").unwrap());
    }
    let error = make(&[symlink("a", "b"), symlink("b", "a"), stored("a/x", "x")]).unwrap_err();
    assert!(error.contains("too many symbolic links"), "{error}");
}

#[test]
fn a_hard_link_leads_nowhere_else() {
    for target in ["../other", "/etc/passwd", "way/passwd", "up/other", ""] {
        let items = [symlink("way", "/etc"), symlink("up", ".."), hard_link("x", target)];
        assert!(make(&items).is_err(), "{target}");
    }
}

#[test]
fn a_hard_link_does_not_change_a_file_of_the_store() {
    let mut link = hard_link("b", "a");
    make(&[stored("a", "x"), link.clone()]).unwrap();
    link.mode = 0o4755;
    let error = make(&[stored("a", "x"), link]).unwrap_err();
    assert!(error.contains("it changes the metadata of a file in the store"), "{error}");
}

#[test]
fn what_replaces_a_linked_file_does_not_write_into_it() {
    let mut other = stored("a", "longer than before");
    other.seconds = 7;
    make(&[stored("a", "x"), other.clone()]).unwrap();
    make(&[stored("a", "x"), symlink("a", "/etc/passwd"), other]).unwrap();
    make(&[stored("d/a", "x"), stored("d", "x"), directory("d"), stored("d/b", "y")]).unwrap();
}

#[test]
fn what_is_too_long_or_too_deep_is_refused() {
    for path in ["n".repeat(256), "d/".repeat(10_000), "d/".repeat(256) + "x"] {
        assert!(make(&[directory(&path)]).unwrap_err().contains("is not valid"));
    }
    make(&[stored(&("d/".repeat(255) + &"n".repeat(255)), "x")]).unwrap();
}

#[test]
fn a_tree_of_any_depth_is_deleted() {
    let yard = Yard::new();
    let target = File::open(&yard.target).unwrap();
    let mut inner = target.try_clone().unwrap();
    for _ in 0..10_000 {
        rustix::fs::mkdirat(&inner, "d", rustix::fs::Mode::RWXU).unwrap();
        let flags = rustix::fs::OFlags::DIRECTORY;
        inner = rustix::fs::openat(&inner, "d", flags, rustix::fs::Mode::empty()).unwrap().into();
        rustix::fs::symlinkat("/etc", &inner, "link").unwrap();
    }
    remove_tree(target.as_fd(), "d".as_ref()).unwrap();
    assert_eq!(contents(&yard.target).len(), 1);
    remove_tree(target.as_fd(), "d".as_ref()).unwrap();
}
