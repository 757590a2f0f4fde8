//! Which way of importing works where: other file systems, mounts, an ordinary user.

use super::layer::{
    Item, Node, Origin, Yard, contents, directory, item, same_owner, store_contents,
};
use super::layer::{stored, symlink};
use crate::support::need_root;
use crate::support::volume::Volume;
use delivery::trees::{Counts, Import, Rules, Way, Ways};
use rustix::fs::{Gid, Uid};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use tempfile::TempDir;

fn layer() -> Vec<Item> {
    let other = Node::File { content: vec![7; 70_000], origin: Origin::Different };
    vec![
        directory("d"),
        stored("d/a", &"1234".repeat(9000)),
        item("d/b", 0o4555, other),
        stored("d/empty", ""),
        symlink("d/link", "a"),
    ]
}

/// Makes the tree of a layer. The store does not change, and the tree is the same for every way.
fn make(yard: &Yard, import: Import) -> (Ways, Counts) {
    let items = layer();
    yard.fill("tree", &items);
    let before = store_contents(&yard.store);
    let ways = yard.ways(import);
    let rules = Rules::containers_storage(&same_owner, false);
    let counts = yard.make(&ways, "tree", &items, &rules).unwrap();
    assert_eq!(store_contents(&yard.store), before);
    let plain = Yard::new();
    plain.fill("tree", &items);
    plain.make(&plain.ways(Import::Copy), "tree", &items, &rules).unwrap();
    let [mut ours, mut theirs] = [yard, &plain].map(|yard| contents(&yard.tree("tree")));
    for tree in [&mut ours, &mut theirs] {
        // The size of a store's directory varies.
        tree.remove(b".".as_slice());
    }
    assert_eq!(ours, theirs);
    (ways, counts)
}

#[test]
fn btrfs_and_xfs_have_reflinks() {
    need_root("mount file systems");
    for kind in ["btrfs", "xfs"] {
        let volume = Volume::new(kind);
        let yard = Yard::at(&volume.path().join("store"), &volume.path().join("target"));
        let (ways, counts) = make(&yard, Import::Reflink);
        assert_eq!(ways.way(), Way::Reflink, "{kind}");
        assert_eq!((counts.reflinked.files, counts.copied.files), (3, 0), "{kind}");
        let yard = Yard::at(&volume.path().join("store2"), &volume.path().join("target2"));
        let (ways, counts) = make(&yard, Import::Auto);
        assert_eq!(ways.way(), Way::Link, "{kind}");
        assert_eq!((counts.linked.files, counts.reflinked.files), (2, 1), "{kind}");
    }
}

#[test]
fn subvolumes_of_btrfs_share_blocks() {
    need_root("mount file systems");
    let volume = Volume::new("btrfs");
    let target = volume.path().join("target");
    crate::support::stdout_of(
        std::process::Command::new("btrfs").args(["subvolume", "create"]).arg(&target),
    );
    let (ways, counts) = make(&Yard::at(&volume.path().join("store"), &target), Import::Auto);
    assert_eq!((ways.way(), counts.reflinked.files), (Way::Reflink, 3));
    let why = ways.why_not_better().unwrap();
    assert_eq!(why, "no hard links: they are on different file systems or subvolumes");
}

#[test]
fn between_two_file_systems_files_are_copied() {
    need_root("mount file systems");
    for kind in ["ext4", "tmpfs"] {
        let (volume, directory) = (Volume::new(kind), TempDir::new().unwrap());
        let yard = Yard::at(&directory.path().join("store"), &volume.path().join("target"));
        let (ways, counts) = make(&yard, Import::Auto);
        assert_eq!((ways.way(), counts.copied.files), (Way::Copy, 3), "{kind}");
        let why = ways.why_not_better().unwrap();
        assert!(
            why.starts_with("no hard links: they are on different file systems; no refl"),
            "{why}"
        );
        let error = Ways::find(&yard.store, &yard.target, Import::Link, None).unwrap_err();
        let error = error.to_string();
        assert!(error.starts_with("cannot make hard links from `/"), "{error}");
        assert!(error.contains(&format!("({kind} on ")), "{error}");
    }
}

#[test]
fn ext4_has_no_reflinks() {
    need_root("mount file systems");
    let volume = Volume::new("ext4");
    let yard = Yard::at(&volume.path().join("store"), &volume.path().join("target"));
    let error = Ways::find(&yard.store, &yard.target, Import::Reflink, None).unwrap_err();
    assert!(error.to_string().contains("the file system does not support them"), "{error}");
}

#[test]
fn a_mount_in_between_does_not_keep_links_away() {
    need_root("mount file systems");
    for kind in ["ext4", "btrfs"] {
        let volume = Volume::new(kind);
        let yard = Yard::at(&volume.path().join("a b/store"), &volume.path().join("target"));
        yard.fill("tree", &layer());
        // As in NixOS, and as dockerd has it.
        let _read_only = volume.bind_read_only("a b/store");
        let _itself = volume.bind("target");
        let ways = yard.ways(Import::Auto);
        assert_eq!((ways.way(), ways.why_not_better()), (Way::Link, None), "{kind}");
        let rules = Rules::containers_storage(&same_owner, false);
        let counts = yard.make(&ways, "tree", &layer(), &rules).unwrap();
        assert_eq!(counts.linked.files, 2, "{kind}");
    }
}

#[test]
fn more_links_than_a_file_can_have_are_copies() {
    need_root("mount file systems");
    let volume = Volume::new("ext4");
    let yard = Yard::at(&volume.path().join("store"), &volume.path().join("target"));
    let items = [stored("a", "x"), stored("b", "y")];
    yard.fill("tree", &items);
    let full = yard.stored("tree", 0);
    fs::create_dir(volume.path().join("links")).unwrap();
    for number in 1..65_000 {
        fs::hard_link(&full, volume.path().join(format!("links/{number}"))).unwrap();
    }
    let rules = Rules::containers_storage(&same_owner, false);
    let counts = yard.make(&yard.ways(Import::Link), "tree", &items, &rules).unwrap();
    assert_eq!((counts.linked.files, counts.copied.files), (1, 1));
    let sample = Some(Path::new("tree-0"));
    let ways = Ways::find(&yard.store, &yard.target, Import::Link, sample).unwrap();
    assert_eq!(ways.way(), Way::Link);
}

#[test]
fn a_full_disk_ends_it() {
    need_root("mount file systems");
    let volume = Volume::new("ext4");
    let yard = Yard::new();
    let yard = Yard::at(&yard.store, &volume.path().join("target"));
    let content = vec![1; 400 << 20];
    let items = [item("a", 0o444, Node::File { content, origin: Origin::Alike })];
    yard.fill("tree", &items);
    let rules = Rules::containers_storage(&same_owner, false);
    let error = yard.make(&yard.ways(Import::Auto), "tree", &items, &rules).unwrap_err();
    assert!(error.is_final(), "{error}");
}

/// Runs a function in a thread of an ordinary user.
fn as_nobody<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    let become_nobody = || {
        rustix::thread::set_thread_groups(&[]).unwrap();
        let (uid, gid) = (Uid::from_raw(65534), Gid::from_raw(65534));
        rustix::thread::set_thread_res_gid(gid, gid, gid).unwrap();
        rustix::thread::set_thread_res_uid(uid, uid, uid).unwrap();
    };
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            become_nobody();
            run()
        });
        thread.join().unwrap()
    })
}

#[test]
fn an_ordinary_user_gets_copies() {
    need_root("become another user");
    let directory = TempDir::new().unwrap();
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
    let yard = Yard::at(&directory.path().join("store"), &directory.path().join("target"));
    chown(&yard.target, Some(65534), Some(65534)).unwrap();
    let mut items = layer();
    items.insert(0, item("/", 0o555, Node::Directory));
    items.push(stored("d/deep/below/c", "x"));
    items.push(item("d/.wh.gone", 0, Node::File { content: Vec::new(), origin: Origin::Stream }));
    items.push(item(
        "d/.wh..wh..opq",
        0,
        Node::File { content: Vec::new(), origin: Origin::Stream },
    ));
    yard.fill("tree", &items);
    let before = store_contents(&yard.store);
    let owner = |uid, gid| ((uid, gid) == (0, 0)).then_some((65534, 65534));
    as_nobody(|| {
        let ways = yard.ways(Import::Auto);
        assert_eq!(ways.way(), Way::Copy);
        let why = ways.why_not_better().unwrap();
        assert!(why.contains("fs.protected_hardlinks"), "{why}");
        let rules = Rules::containers_storage(&owner, true);
        let counts = yard.make(&ways, "tree", &items, &rules).unwrap();
        assert_eq!(counts.copied.files, 4);
        let tree = contents(&yard.tree("tree"));
        assert!(tree[b"./d".as_slice()].ends_with("user.overlay.opaque=y"));
        assert!(tree[b"./d/b".as_slice()].starts_with("104555 65534:65534 1.0"));
        assert!(tree[b"./d/gone".as_slice()].starts_with("20000 65534:65534"));
        assert!(tree[b".".as_slice()].starts_with("40555 65534:65534 1.0"));
        let target = fs::File::open(&yard.target).unwrap();
        let remove = |name: &str| {
            delivery::trees::remove_tree(std::os::fd::AsFd::as_fd(&target), name.as_ref())
        };
        remove("tree").unwrap();
        assert_eq!(contents(&yard.target).len(), 1);
        let mut other = items.clone();
        other[2].owner = (5, 0);
        let error = yard.make(&ways, "tree", &other, &rules).unwrap_err();
        assert!(error.to_string().contains("no owner on disk"), "{error}");
        remove("tree").unwrap();
    });
    assert_eq!(store_contents(&yard.store), before);
}
