//! Made-up layers become the trees that podman and containerd make of them.

use super::layer::{Item, Node, Origin, Yard, archive, contents, same_owner, store_contents};
use crate::support::{engines, need_root, sha256};
use delivery::trees::{Import, Rules, remove_tree};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use rustix::fs::{Mode, OFlags, open};
use serde_json::json;
use std::fs::File;
use std::path::{Path, PathBuf};

/// Layers in an image. Engines stop at some hundred.
const LAYERS: usize = 40;

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
        // Attributes of what takes none of its user are refused by one engine only.
        if !matches!(item.node, Node::Directory | Node::File { .. }) {
            item.xattrs.clear();
        }
        item
    })
}

/// `cap_net_raw=ep`, as the kernel writes it.
const CAPABILITY: [u8; 20] = [1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// Layers; some have an entry for the root.
fn layers() -> impl Strategy<Value = Vec<Vec<Item>>> {
    let root = (any::<bool>(), entry()).prop_map(|(has_one, mut item)| {
        item.path = "./".into();
        item.node = Node::Directory;
        has_one.then_some(item)
    });
    let layer = (root, prop::collection::vec(entry(), 1..25))
        .prop_map(|(root, items)| root.into_iter().chain(items).collect());
    prop::collection::vec(layer, LAYERS..=LAYERS)
}

/// An archive that `docker load` would take.
fn write_image(path: &Path, layers: &[Vec<u8>]) {
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

/// The IDs of layers, made of their own and their parent's.
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

/// Compares the trees of those layers that ours takes, each with what an engine makes.
fn compare(
    layers: &[Vec<Item>],
    rules: impl Fn(Vec<PathBuf>) -> Rules<'static>,
    load: impl Fn(&Path, &[Vec<u8>]) -> Vec<PathBuf>,
) {
    let yard = Yard::new();
    let ways = yard.ways(Import::Link);
    let mut made: Vec<(PathBuf, &[Item])> = Vec::new();
    let mut linked = 0;
    for (number, items) in layers.iter().enumerate() {
        // What stops ours is left out, so that more layers reach the end.
        let name = number.to_string();
        yard.fill(&name, items);
        let before = store_contents(&yard.store);
        let lower: Vec<_> = made.iter().rev().map(|(tree, _)| tree.clone()).collect();
        match yard.make(&ways, &name, items, &rules(lower)) {
            Ok(counts) => {
                linked += counts.linked.files;
                made.push((yard.tree(&name), items));
            }
            Err(_) => {
                let target = File::open(&yard.target).unwrap();
                remove_tree(std::os::fd::AsFd::as_fd(&target), name.as_ref()).unwrap();
            }
        }
        assert_eq!(store_contents(&yard.store), before);
    }
    assert!(made.len() > LAYERS / 5 && linked > 20, "{} layers, {linked} links", made.len());
    let archives: Vec<_> = made.iter().map(|(_, items)| archive(items)).collect();
    let path = yard.store.with_extension("tar");
    write_image(&path, &archives);
    for (theirs, (ours, items)) in load(&path, &archives).iter().zip(&made) {
        let (mut ours, mut theirs) = (contents(ours), contents(theirs));
        if items[0].path != "./" || !rules(Vec::new()).root_entry {
            // That is made by whoever has the tree made.
            ours.remove(b".".as_slice());
            theirs.remove(b".".as_slice());
        }
        let show = |tree: &std::collections::BTreeMap<Vec<u8>, String>| {
            tree.iter().map(|(path, line)| format!("{} {line}\n", path.escape_ascii())).collect()
        };
        let (ours, theirs): (String, String) = (show(&ours), show(&theirs));
        assert!(ours == theirs, "ours:\n{ours}\ntheirs:\n{theirs}\nof {items:#?}");
    }
}

fn run(check: impl Fn(&[Vec<Item>])) {
    need_root("make devices");
    let config =
        Config { cases: 4, max_shrink_iters: 0, failure_persistence: None, ..Config::default() };
    let result = TestRunner::new(config).run(&layers(), |layers| {
        check(&layers);
        Ok(())
    });
    result.unwrap();
}

#[test]
fn trees_are_those_of_podman() {
    let engine = engines::podman();
    run(|layers| {
        let rules = |_| Rules::containers_storage(&same_owner, false);
        compare(layers, rules, |path, layers| {
            engine.load_archive(path);
            let data = engine.folder().join("data/overlay");
            let ids = chain(layers, |parent, id| format!("{parent}+sha256:{id}"));
            ids.iter().map(|id| data.join(id).join("diff")).collect()
        });
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
            engine.load_archive(path);
            let ids = chain(layers, |parent, id| format!("sha256:{parent} sha256:{id}"));
            ids.iter().map(|id| snapshot(&engine, id)).collect()
        });
    });
}

/// Where containerd has the tree of a committed snapshot: a view on it names its directory.
fn snapshot(engine: &engines::Engine, id: &str) -> PathBuf {
    let key = format!("view-{id}");
    let parent = format!("sha256:{id}");
    crate::support::stdout_of(&mut engine.command("ctr", &["snapshots", "view", &key, &parent]));
    let mounts = engine.command("ctr", &["snapshots", "mounts", "/mnt", &key]).output().unwrap();
    let text = String::from_utf8(mounts.stdout).unwrap();
    let start = text.find("/snapshots/").unwrap();
    let start = text[..start].rfind(['=', ' ']).unwrap() + 1;
    let end = text[start..].find([':', ' ', ',']).unwrap() + start;
    PathBuf::from(text[start..end].trim_matches('"'))
}
