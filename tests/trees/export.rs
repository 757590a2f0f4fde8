//! `nix-image export` of random layers: the tree equals that of an engine, or of a program that
//! unpacks them.

use super::engines::{layers, write_image};
use super::layer::{Item, Node, archive, contents, directory, hard_link, item, symlink};
use crate::support::layout::{Form, Layout};
use crate::support::{NIX_IMAGE, command, engines, need, need_root, run, stdout_of};
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

/// The number of images.
const CASES: usize = 40;

/// Leaves out what engines reject or disagree on, which is most of the random input: names that are
/// duplicate or hidden within a layer, entries below something that is not a directory, links to
/// files outside the layer, and entries for the layer's own root. Parent directories get entries.
fn plausible(items: &[Item]) -> Vec<Item> {
    let mut kinds = BTreeMap::new();
    let mut all = Vec::new();
    for item in items {
        let path = item.path.trim_start_matches("./").trim_end_matches('/');
        let parents: Vec<_> = path.match_indices('/').map(|(slash, _)| &path[..slash]).collect();
        let name = path.rsplit('/').next().unwrap();
        let hidden = name.strip_prefix(".wh.").map(|hidden| path.replace(name, hidden));
        let key = hidden.unwrap_or_else(|| path.to_owned());
        let is_linked = |target: &String| kinds.get(target) == Some(&'f');
        let fits = match &item.node {
            Node::HardLink(target) => is_linked(target),
            _ => !path.is_empty() && path != ".wh..wh..opq" && path != ".wh.",
        };
        let is_below_other =
            parents.iter().any(|parent| kinds.get(*parent).is_some_and(|kind| *kind != 'd'));
        if !fits || is_below_other || kinds.contains_key(&key) {
            continue;
        }
        for parent in parents {
            if kinds.insert(parent.to_owned(), 'd').is_none() {
                all.push(Item { seconds: 5, ..directory(parent) });
            }
        }
        let kind = match &item.node {
            Node::Directory => 'd',
            Node::File { .. } if key == path => 'f',
            _ => 'o',
        };
        kinds.insert(key, kind);
        let mut item = item.clone();
        // podman exports no others.
        item.xattrs.retain(|(name, _)| name == "security.capability");
        all.push(item);
    }
    all
}

/// The contents of a tar file, unpacked.
fn unpacked(tar: &Path, folder: &Path) -> BTreeMap<Vec<u8>, String> {
    let _ = fs::remove_dir_all(folder);
    fs::create_dir(folder).unwrap();
    let mut unpack = Command::new("tar");
    unpack.args(["--numeric-owner", "--xattrs", "--xattrs-include=*", "--same-permissions"]);
    unpack.args(["--delay-directory-restore", "-x", "-f"]).arg(tar).arg("-C").arg(folder);
    stdout_of(&mut unpack);
    contents(folder)
}

fn export(image: &Path, tar: &Path) -> Result<Vec<u8>, String> {
    let mut export = command(NIX_IMAGE, &["export"]);
    run(export.arg(image).arg("-o").arg(tar))
}

fn assert_same(
    ours: &BTreeMap<Vec<u8>, String>,
    theirs: &BTreeMap<Vec<u8>, String>,
    of: &[Vec<Item>],
) {
    let show = |tree: &BTreeMap<Vec<u8>, String>, other: &BTreeMap<Vec<u8>, String>| {
        let lines = tree.iter().filter(|(path, line)| other.get(*path) != Some(line));
        let lines = lines.map(|(path, line)| format!("{} {line}", path.escape_ascii()));
        lines.collect::<Vec<_>>().join("\n")
    };
    let (only_ours, only_theirs) = (show(ours, theirs), show(theirs, ours));
    assert!(
        only_ours.is_empty() && only_theirs.is_empty(),
        "ours:\n{only_ours}\ntheirs:\n{only_theirs}\nof {of:#?}"
    );
}

#[test]
fn exported_trees_are_those_of_podman() {
    need_root("make devices");
    let engine = engines::podman();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let mut runner = TestRunner::deterministic();
    let mut compared = 0;
    for _ in 0..CASES {
        let stack = layers().new_tree(&mut runner).unwrap().current();
        let stack: Vec<_> = stack.iter().map(|items| plausible(items)).collect();
        let tars: Vec<_> = stack.iter().map(|items| archive(items)).collect();
        write_image(&at("image.tar"), &tars);
        if engine.try_archive(&at("image.tar")).is_err() {
            continue;
        }
        // What podman accepts is a tree.
        export(&at("image.tar"), &at("ours.tar")).unwrap_or_else(|said| panic!("{said}{stack:#?}"));
        let created = stdout_of(&mut engine.command("podman", &["create", "trees:1", "x"]));
        let created = String::from_utf8(created).unwrap();
        let theirs = at("theirs.tar");
        let arguments = ["export", "-o", theirs.to_str().unwrap(), created.trim()];
        let exported = run(&mut engine.command("podman", &arguments));
        stdout_of(&mut engine.command("podman", &["rm", created.trim()]));
        if exported.is_err() {
            continue;
        }
        let mut ours = unpacked(&at("ours.tar"), &at("ours"));
        let mut theirs = unpacked(&theirs, &at("theirs"));
        for tree in [&mut ours, &mut theirs] {
            // podman sets the root's mode itself.
            tree.remove(b".".as_slice());
            // podman adds these to each container.
            for name in ["dev", "etc", "proc", "run", "sys"] {
                tree.retain(|path, _| !path.starts_with(format!("./{name}").as_bytes()));
            }
        }
        assert_same(&ours, &theirs, &stack);
        compared += 1;
    }
    assert!(compared > CASES / 4, "only {compared} images were compared");
}

/// Links from one layer into another, which are rejected by engines that unpack each layer
/// separately.
#[test]
fn exported_links_across_layers_are_those_of_umoci() {
    need("umoci");
    need_root("unpack with owners");
    let file = |path: &str, content: &str| {
        let content = content.as_bytes().to_vec();
        let origin = super::layer::Origin::Stream;
        Item { seconds: 7, owner: (3, 4), ..item(path, 0o640, Node::File { content, origin }) }
    };
    let whiteout = |path: &str| file(path, "");
    let link = |path: &str, target: &str| Item {
        seconds: 7,
        owner: (3, 4),
        mode: 0o640,
        ..hard_link(path, target)
    };
    let long = format!("{}/{}", "d".repeat(60), "f".repeat(39));
    let stacks = [
        vec![vec![file("a", "1")], vec![link("b", "a")]],
        vec![vec![file("a", "1")], vec![link("b", "a")], vec![whiteout(".wh.a")]],
        vec![vec![file("a", "1"), link("b", "a")], vec![file("a", "2")]],
        vec![vec![file("a", "1"), link("b", "a")], vec![whiteout(".wh.b"), link("c", "a")]],
        vec![
            vec![directory("d"), file("d/a", "1"), file("z", "2")],
            vec![link("b", "d/a")],
            vec![whiteout(".wh.d"), link("y", "z")],
        ],
        vec![
            vec![directory("d"), file("d/a", "1"), directory("d/e"), file("d/e/b", "")],
            vec![directory("d"), whiteout("d/.wh..wh..opq"), file("d/c", "3")],
        ],
        vec![vec![directory("d"), file("d/a", "1")], vec![whiteout(".wh.d")], vec![file("d", "x")]],
        vec![vec![file("d", "x")], vec![whiteout(".wh.d")], vec![directory("d"), file("d/a", "1")]],
        vec![vec![symlink("l", "a"), file("a", "")], vec![file("l", "now a file")]],
        vec![
            vec![directory(&"d".repeat(60)), file(&long, "long")],
            vec![symlink("s", &"t/".repeat(49))],
        ],
    ];
    for stack in stacks {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let tars: Vec<_> = stack.iter().map(|items| archive(items)).collect();
        let mut layout = Layout::default();
        let forms = Form::ALL.into_iter().take(2).cycle();
        let layers: Vec<_> = forms.zip(tars.iter().map(Vec::as_slice)).collect();
        let image = layout.image(&layers, &[]);
        layout.entry(image, Some("1"));
        layout.write(&at("layout"));
        let image = format!("{}:1", at("layout").display());
        let mut umoci = command("umoci", &["unpack", "--image", &image]);
        stdout_of(umoci.arg(at("bundle")));
        export(&at("layout"), &at("ours.tar")).unwrap();
        let mut ours = unpacked(&at("ours.tar"), &at("ours"));
        let mut theirs = contents(&at("bundle/rootfs"));
        for tree in [&mut ours, &mut theirs] {
            tree.remove(b".".as_slice());
        }
        assert_same(&ours, &theirs, &stack);
        // The archive depends only on the tree, not on the layers.
        let flat = fs::read(at("ours.tar")).unwrap();
        let mut again = File::create(at("flat.tar")).unwrap();
        let mut layout = Layout::default();
        let image = layout.image(&[(Form::Zstd, &flat)], &[]);
        layout.entry(image, None);
        std::io::Write::write_all(&mut again, &layout.archive("")).unwrap();
        export(&at("flat.tar"), &at("again.tar")).unwrap();
        assert!(fs::read(at("again.tar")).unwrap() == flat, "{stack:#?}");
    }
}
