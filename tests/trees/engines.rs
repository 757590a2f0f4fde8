//! Random layers become the same trees as in podman and containerd.

use super::layer::{Item, Node, Origin, Yard, archive, contents, same_owner, store_contents};
use crate::support::{engines, need_root, sha256, stdout_of};
use delivery::trees::{Counts, Import, Rules, Ways};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use rustix::fs::{Mode, OFlags, open};
use serde_json::json;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// The number of layers in an image.
const LAYERS: usize = 2;
/// The number of images.
const CASES: usize = 60;

fn path() -> impl Strategy<Value = String> {
    let name = select(vec!["a", "b", "c", "d"]);
    prop::collection::vec(name, 1..4).prop_map(|names| names.join("/"))
}

fn node() -> impl Strategy<Value = Node> {
    let content = prop::collection::vec(any::<u8>(), 0..40);
    let origin = select(vec![Origin::Stream, Origin::Alike, Origin::Alike, Origin::Different]);
    let target = select(vec!["a", "b", "../b", "/a/b", "a/../../c", "/", "nowhere", "."]);
    prop_oneof![
        5 => Just(Node::Directory),
        8 => (content, origin).prop_map(|(content, origin)| Node::File { content, origin }),
        4 => target.prop_map(|target| Node::Symlink(target.into())),
        4 => path().prop_map(Node::HardLink),
        1 => Just(Node::Fifo),
        1 => (any::<bool>(), (0..9u32, 1..9u32))
            .prop_map(|(is_block, numbers)| Node::Device { is_block, numbers }),
    ]
}

fn entry() -> impl Strategy<Value = Item> {
    let mode = prop_oneof![select(vec![0o444, 0o555, 0o755, 0o4555, 0o1777]), 0..=0o7777u32];
    let owner = prop_oneof![4 => Just((0, 0)), 1 => (0..2000u32, 0..2000u32)];
    let xattrs = prop_oneof![
        6 => Just(vec![]),
        1 => Just(vec![("security.capability".to_owned(), CAPABILITY.to_vec())]),
        1 => Just(vec![("user.test".to_owned(), b"value".to_vec())]),
        1 => Just(vec![("trusted.test".to_owned(), b"value".to_vec())]),
    ];
    let whiteout = prop_oneof![12 => Just(""), 1 => Just(".wh."), 1 => Just(".wh..wh.")];
    let fields = (path(), whiteout, mode, owner, select(vec![0, 1, 1, 1_000_000_000]));
    (fields, xattrs, node()).prop_map(|((path, whiteout, mode, owner, seconds), xattrs, node)| {
        let mut item = Item { path, owner, mode, seconds, xattrs, node };
        if !whiteout.is_empty() {
            item.node = Node::File { content: Vec::new(), origin: Origin::Stream };
            item.xattrs.clear();
            let name = item.path.rfind('/').map_or(0, |slash| slash + 1);
            let hidden =
                if whiteout == ".wh." { item.path[name..].to_owned() } else { ".opq".into() };
            item.path = format!("{}{whiteout}{hidden}", &item.path[..name]);
        }
        // Only one engine rejects attributes of files that cannot have user attributes.
        if !matches!(item.node, Node::Directory | Node::File { .. }) {
            item.xattrs.clear();
        }
        item
    })
}

/// `cap_net_raw=ep`, as the kernel writes it.
const CAPABILITY: [u8; 20] = [1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// Layers, some of which have an entry for the root.
pub(super) fn layers() -> impl Strategy<Value = Vec<Vec<Item>>> {
    let name = select(vec![None, Some("/"), Some("./")]);
    let root = (name, entry()).prop_map(|(name, mut item)| {
        item.path = name?.into();
        item.node = Node::Directory;
        Some(item)
    });
    let layer = (root, prop::collection::vec(entry(), 1..12))
        .prop_map(|(root, items)| root.into_iter().chain(items).collect());
    prop::collection::vec(layer, LAYERS..=LAYERS)
}

/// An archive that `docker load` accepts.
pub(super) fn write_image(path: &Path, layers: &[Vec<u8>]) {
    let diff_ids: Vec<_> = layers.iter().map(|tar| format!("sha256:{}", sha256(tar))).collect();
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    });
    let names: Vec<_> = (0..layers.len()).map(|number| format!("{number}/layer.tar")).collect();
    let manifest = json!([{ "Config": "c.json", "RepoTags": ["trees:1"], "Layers": names }]);
    let mut builder = tar::Builder::new(File::create(path).unwrap());
    let mut add = |name: &str, content: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, name, content).unwrap();
    };
    for (name, layer) in names.iter().zip(layers) {
        add(name, layer);
    }
    add("c.json", config.to_string().as_bytes());
    add("manifest.json", manifest.to_string().as_bytes());
    builder.finish().unwrap();
}

/// The IDs of layers, derived from their own and their parent's.
fn chain(layers: &[Vec<u8>], join: impl Fn(&str, &str) -> String) -> Vec<String> {
    let mut chain: Vec<String> = Vec::new();
    for layer in layers {
        let id = sha256(layer);
        chain.push(match chain.last() {
            None => id,
            Some(parent) => sha256(join(parent, &id).as_bytes()),
        });
    }
    chain
}

/// Makes the tree of a layer, leaving out what is impossible.
fn make(
    yard: &Yard,
    ways: &Ways,
    number: usize,
    items: &[Item],
    rules: &Rules<'_>,
) -> (PathBuf, Vec<Item>, Counts) {
    let mut items = items.to_vec();
    loop {
        let name = format!("{number}-{}", items.len());
        yard.fill(&name, &items);
        let before = store_contents(&yard.store);
        let made = yard.make_up_to(ways, &name, &items, rules);
        assert_eq!(store_contents(&yard.store), before);
        match made {
            Ok(counts) => return (yard.tree(&name), items, counts),
            Err((wrong, _)) => drop(items.remove(wrong)),
        }
    }
}

/// Compares the trees of layers with those of an engine, if it accepts them: for example, both stop
/// at a directory that became something else. Returns how many files ours has.
fn compare(
    layers: &[Vec<Item>],
    rules: impl Fn(Vec<PathBuf>) -> Rules<'static>,
    load: impl Fn(&Path, &[Vec<u8>]) -> Option<Vec<PathBuf>>,
) -> Counts {
    let yard = Yard::new();
    let ways = yard.ways(Import::Link);
    let mut made: Vec<(PathBuf, Vec<Item>)> = Vec::new();
    let mut all = Counts::default();
    for (number, items) in layers.iter().enumerate() {
        let lower: Vec<_> = made.iter().rev().map(|(tree, _)| tree.clone()).collect();
        let (tree, items, counts) = make(&yard, &ways, number, items, &rules(lower));
        all += counts;
        made.push((tree, items));
    }
    // containerd gives the time of a directory to what replaced it, or to the target of a link
    // there, even if it was hidden in between.
    let is_replaced = |tree: &Path, items: &[Item], item: &Item| {
        let status = tree.join(&item.path).symlink_metadata();
        let (parent, name) = item.path.rsplit_once('/').unwrap_or(("", &item.path));
        let whiteout = Path::new(parent).join(format!(".wh.{name}"));
        matches!(item.node, Node::Directory)
            && (!status.is_ok_and(|status| status.is_dir())
                || items.iter().any(|item| Path::new(&item.path) == whiteout))
    };
    let mut all_made = made.iter();
    if all_made.any(|(tree, items)| items.iter().any(|item| is_replaced(tree, items, item))) {
        return Counts::default();
    }
    let archives: Vec<_> = made.iter().map(|(_, items)| archive(items)).collect();
    let path = yard.store.with_extension("tar");
    write_image(&path, &archives);
    let Some(loaded) = load(&path, &archives) else { return Counts::default() };
    for (theirs, (ours, items)) in loaded.iter().zip(&made) {
        let (mut ours, mut theirs) = (contents(ours), contents(theirs));
        if items.first().is_none_or(|item| item.path != "/") || !rules(Vec::new()).root_entry {
            // The caller makes the root.
            ours.remove(b".".as_slice());
            theirs.remove(b".".as_slice());
        }
        let show = |tree: &std::collections::BTreeMap<Vec<u8>, String>| {
            let line = |(path, line): (&Vec<u8>, _)| format!("{} {line}", path.escape_ascii());
            tree.iter().map(line).collect::<Vec<_>>().join("\n")
        };
        let (ours, theirs): (String, String) = (show(&ours), show(&theirs));
        assert!(ours == theirs, "ours:\n{ours}\ntheirs:\n{theirs}\nof {items:#?}");
    }
    all
}

fn run(check: impl Fn(&[Vec<Item>]) -> Counts) {
    need_root("make devices");
    // The same cases every time: engines have more quirks than anyone has seen.
    let mut runner = TestRunner::deterministic();
    let mut all = Counts::default();
    for _ in 0..CASES {
        all += check(&layers().new_tree(&mut runner).unwrap().current());
    }
    assert!(all.linked.files > 5 && all.copied.files > 5 && all.others > 50, "{all:?}");
}

#[test]
fn trees_are_those_of_podman() {
    let engine = engines::podman();
    run(|layers| {
        let rules = |_| Rules::containers_storage(&same_owner, false);
        compare(layers, rules, |path, layers| {
            engine.try_archive(path).ok()?;
            let data = engine.folder().join("data/overlay");
            let ids = chain(layers, |parent, id| format!("{parent}+{id}"));
            Some(ids.iter().map(|id| data.join(id).join("diff")).collect())
        })
    });
}

#[test]
fn trees_are_those_of_containerd() {
    let engine = engines::containerd();
    run(|layers| {
        let open_tree =
            |path: PathBuf| open(path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
        let rules = |lower: Vec<PathBuf>| {
            Rules::containerd(&same_owner, lower.into_iter().map(open_tree).collect())
        };
        compare(layers, rules, |path, layers| {
            engine.try_archive(path).ok()?;
            let ids = chain(layers, |parent, id| format!("sha256:{parent} sha256:{id}"));
            Some(ids.iter().map(|id| snapshot(&engine, id)).collect())
        })
    });
}

/// Where containerd has the tree of a committed snapshot: a view of it names the directory.
fn snapshot(engine: &engines::Engine, id: &str) -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let key = format!("view-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let parent = format!("sha256:{id}");
    // Without delay, as containerd soon deletes an unused view.
    let view = ["snapshots", "view", "--target", "/mnt", &key, &parent];
    let text = String::from_utf8(stdout_of(&mut engine.command("ctr", &view))).unwrap();
    let start = text.find("/snapshots/").unwrap_or_else(|| panic!("{text}"));
    let start = text[..start].rfind(['=', ' ']).unwrap() + 1;
    let end = text[start..].find([':', ' ', ',']).unwrap() + start;
    PathBuf::from(text[start..end].trim_matches('"'))
}
