//! Layouts that move less over updates: `nix-image plan --strategy ordered` and `delta`, `plan
//! --explain`, `layers` and `simulate`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::Command;

use crate::plan::closures;
use crate::support::test_file;
use planner::graph::{Closure, Node};
use planner::{Layers, auto, delta, ordered};
use proptest::prelude::*;
use serde_json::{Value, json};
use snapbox::{Assert, Data};

/// The output of `nix-image` in a directory.
fn run(directory: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(env!("CARGO_BIN_EXE_nix-image"))
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

/// The order by its definition, with sets of paths and every sum recomputed.
fn plainly_ordered(nodes: &[Node], own: &BTreeSet<usize>, mut layers: Layers) -> Layers {
    let closure_of = |start: &String| -> BTreeSet<&String> {
        let mut closure = BTreeSet::new();
        let mut waiting = vec![start];
        while let Some(path) = waiting.pop() {
            if let Some(node) = nodes.iter().find(|node| &node.path == path)
                && closure.insert(&node.path)
            {
                waiting.extend(&node.references);
            }
        }
        closure
    };
    let closures: BTreeMap<&String, BTreeSet<&String>> =
        nodes.iter().map(|node| (&node.path, closure_of(&node.path))).collect();
    // In units of 2^-40, rounded down.
    let rate = |number: usize| {
        let node = &nodes[number];
        let users = closures.values().filter(|closure| closure.contains(&node.path)).count() - 1;
        let twentieth = (1_u128 << 40) / 20;
        let rate = match users {
            _ if own.contains(&number) => (1 << 40) / 2,
            0 => 8 * twentieth,
            users => twentieth / (1 + users as u128),
        };
        (&node.path, rate)
    };
    let rates: BTreeMap<&String, u128> = (0..nodes.len()).map(rate).collect();
    let size = |layer: &Vec<String>| -> u128 {
        let sizes = nodes.iter().filter(|node| layer.contains(&node.path));
        sizes.map(|node| u128::from(node.nar_size)).sum::<u128>().max(1)
    };
    let names = |layer: &Vec<String>| -> Vec<(String, String)> {
        let name =
            |path: &String| path.split_once('-').map(|(hash, name)| (name.into(), hash.into()));
        layer.iter().filter_map(name).collect()
    };

    layers.sort_by_key(names);
    let mut below: BTreeSet<&String> = BTreeSet::new();
    let mut order = Layers::new();
    while !layers.is_empty() {
        let needed = |layer: &Vec<String>| -> BTreeSet<&String> {
            layer.iter().flat_map(|path| closures[path].iter().copied()).collect()
        };
        let added = |layer: &Vec<String>| -> u128 {
            needed(layer).difference(&below).map(|path| rates[path]).sum()
        };
        let (next, _) = layers
            .iter()
            .enumerate()
            .min_by(|(_, a), (_, b)| (added(a) * size(b)).cmp(&(added(b) * size(a))))
            .unwrap();
        let next = layers.remove(next);
        below.extend(next.iter().flat_map(|path| closures.get(path).unwrap().iter().copied()));
        order.push(next);
    }
    order
}

fn as_set(layers: &Layers) -> BTreeSet<&Vec<String>> {
    layers.iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn ordered_has_the_layers_of_auto_in_the_defined_order(
        nodes in closures(),
        limit in 1..40_usize,
        own in prop::collection::btree_set(0..30_usize, 0..3),
    ) {
        let limit = NonZeroUsize::new(limit).unwrap();
        let closure = Closure::new(nodes.clone()).unwrap();
        let auto = auto::layers(&closure, limit, &BTreeSet::new());
        let ordered = ordered::layers(&closure, limit, &BTreeSet::new(), &own).unwrap();
        prop_assert_eq!(as_set(&ordered), as_set(&auto));
        prop_assert_eq!(ordered, plainly_ordered(&nodes, &own, auto));
    }

    #[test]
    fn the_order_of_the_graphs_file_does_not_matter(
        (nodes, shuffled) in closures().prop_flat_map(|mut nodes| {
            // Among paths of equal size, auto takes the last one in the file.
            for (number, node) in nodes.iter_mut().enumerate() {
                node.nar_size = node.nar_size * 1000 + number as u64;
            }
            (Just(nodes.clone()), Just(nodes).prop_shuffle())
        }),
        limit in 1..40_usize,
    ) {
        let limit = NonZeroUsize::new(limit).unwrap();
        let none = BTreeSet::new();
        let both = [nodes, shuffled].map(|nodes| {
            let closure = Closure::new(nodes).unwrap();
            let ordered = ordered::layers(&closure, limit, &none, &BTreeSet::new()).unwrap();
            let first = delta::layers(&closure, limit, &none, &BTreeSet::new(), &vec![]).unwrap();
            let next = delta::layers(&closure, limit, &none, &BTreeSet::new(), &ordered).unwrap();
            (ordered, first, next)
        });
        prop_assert_eq!(&both[0], &both[1]);
    }

    #[test]
    fn delta_keeps_the_layers_that_are_still_right(
        nodes in closures(),
        limit in 2..40_usize,
        gone in any::<prop::sample::Index>(),
    ) {
        let limit = NonZeroUsize::new(limit).unwrap();
        let none = BTreeSet::new();
        let plan = |nodes: Vec<Node>, previous: &Layers| {
            let closure = Closure::new(nodes).unwrap();
            delta::layers(&closure, limit, &none, &BTreeSet::new(), previous).unwrap()
        };
        let first = plan(nodes.clone(), &vec![]);
        prop_assert_eq!(&plan(nodes.clone(), &first), &first);

        // One path changes, and so does everything that needs it.
        prop_assume!(!nodes.is_empty());
        let changed = &gone.get(&nodes).path;
        let closure = Closure::new(nodes.clone()).unwrap();
        let users = closure.references.reversed().reach([closure.number(changed).unwrap()]);
        let is_changed = |path: &String| users[closure.number(path).unwrap()];
        let renamed = |path: &String| if is_changed(path) { format!("{path}-2") } else { path.clone() };
        let next: Vec<Node> = nodes.iter().map(|node| Node {
            path: renamed(&node.path),
            nar_size: node.nar_size,
            references: node.references.iter().map(renamed).collect(),
        }).collect();
        let second = plan(next, &first);
        let right: Vec<_> = first.iter().filter(|layer| !layer.iter().any(is_changed)).collect();
        // One may have to make room for new paths, if the limit is exhausted by layers that still
        // fit.
        let kept = right.iter().filter(|layer| second.contains(layer)).count();
        let full = right.len() * 2 > limit.get();
        prop_assert!(kept == right.len() || full, "{kept} of {}", right.len());
        prop_assert!(kept > 0 || right.is_empty() || full);
    }
}

/// Layouts are a contract with every machine that has an image: a change here moves all layers for
/// all users.
#[test]
fn plans_stay_as_they_are() {
    let graph = test_file("golden/plan/120-paths-44-roots.json");
    let nodes = planner::graph::parse(&fs::read(graph).unwrap()).unwrap();
    let closure = Closure::new(nodes).unwrap();
    let (limit, none) = (NonZeroUsize::new(20).unwrap(), BTreeSet::new());
    let own = BTreeSet::from([7]);
    let ordered = ordered::layers(&closure, limit, &none, &own).unwrap();
    let first = delta::layers(&closure, limit, &none, &own, &vec![]).unwrap();
    let kept: Layers = ordered.iter().skip(3).cloned().collect();
    let next = delta::layers(&closure, limit, &none, &own, &kept).unwrap();
    for (name, layers) in [("ordered", ordered), ("delta", first), ("delta-next", next)] {
        let file = test_file("golden/layering").join(format!("{name}.json"));
        let expected = Data::read_from(&file, Some(snapbox::data::DataFormat::Text)).raw();
        let found = format!("{:#}\n", json!(layers));
        Assert::new().action_env("SNAPSHOTS").eq(found, expected);
    }
}

/// Three images in both forms of `nix path-info --json`: first the program changes, then the
/// library.
fn three_images(directory: &Path) {
    let node = |size: u64, references: &[&str]| json!({"narSize": size, "references": references});
    let images = [
        json!({"/s/1-lib": node(1000, &[]), "/s/1-app": node(10, &["/s/1-lib"])}),
        json!({"/s/1-lib": node(1000, &[]), "/s/2-app": node(20, &["/s/1-lib"])}),
        json!({"/s/2-lib": node(3000, &[]), "/s/3-app": node(30, &["/s/2-lib"])}),
    ];
    for (number, image) in images.into_iter().enumerate() {
        let list = |nodes: &serde_json::Map<String, Value>| -> Value {
            let node = |(path, node): (&String, &Value)| {
                let mut node = node.clone();
                node["path"] = json!(path);
                node
            };
            nodes.iter().map(node).collect()
        };
        let image = if number == 1 { list(image.as_object().unwrap()) } else { image };
        fs::write(directory.join(format!("{number}.json")), image.to_string()).unwrap();
    }
}

#[test]
fn simulates_the_updates_of_three_images() {
    let directory = tempfile::tempdir().unwrap();
    three_images(directory.path());
    let files = ["0.json", "1.json", "2.json"];
    // Bytes pushed, pulled and unpacked by the two updates, and the image's size, calculated by
    // hand. With one layer, everything moves; with two, at first only the app.
    let cases = [
        ("ordered", "2", [(1020, 1020, 1020, 1020), (3030, 3030, 3030, 3030)]),
        ("delta", "2", [(1020, 1020, 1020, 1020), (3030, 3030, 3030, 3030)]),
        ("auto", "3", [(20, 20, 20, 1020), (3030, 3030, 3030, 3030)]),
        ("ordered", "3", [(20, 20, 20, 1020), (3030, 3030, 3030, 3030)]),
        ("delta", "3", [(20, 20, 20, 1020), (3030, 3030, 3030, 3030)]),
    ];
    for (strategy, limit, expected) in cases {
        let options = ["simulate", "--json", "--strategy", strategy, "--limit", limit];
        let printed = run(directory.path(), &[&options[..], &files].concat()).unwrap();
        let outcomes: Vec<Value> = serde_json::from_str(&printed).unwrap();
        let outcome = outcomes.iter().find(|outcome| outcome["strategy"] == strategy).unwrap();
        let figures = |update: &Value| {
            ["pushed", "pulled", "unpacked", "image"].map(|key| update[key].as_u64().unwrap())
        };
        let updates: Vec<_> = outcome["updates"].as_array().unwrap().iter().map(figures).collect();
        let expected =
            expected.map(|(pushed, pulled, unpacked, image)| [pushed, pulled, unpacked, image]);
        assert_eq!(updates, expected, "{strategy} {limit}");
        assert_eq!(outcome["updates"][1]["label"], "2");
        let paths = outcomes.last().unwrap();
        assert_eq!((&paths["strategy"], &paths["sum"]["pushed"]), (&json!("paths"), &json!(3050)));
        let ratio = outcome["toPaths"]["pushed"].as_f64().unwrap();
        let sum = outcome["sum"]["pushed"].as_f64().unwrap();
        assert!((ratio * 3050.0 - sum).abs() < 1e-6);
    }

    let table =
        run(directory.path(), &[&["simulate", "--limit", "3"][..], &files].concat()).unwrap();
    let row = table.lines().find(|line| line.starts_with("delta")).unwrap();
    let cells: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(
        cells,
        [
            "delta", "3", "2", "3.0", "kB", "3.0", "kB", "3.0", "kB", "1.000", "1.000", "1.000",
            "1.000"
        ]
    );
}

#[test]
fn says_what_cannot_be_simulated() {
    let directory = tempfile::tempdir().unwrap();
    three_images(directory.path());
    fs::write(directory.path().join("broken.json"), "[").unwrap();
    let cases: &[(&[&str], &str)] = &[
        (&["0.json"], "is one image, but an update takes two"),
        (&["0.json", "broken.json"], "reading broken.json"),
        (&["0.json", "missing.json"], "No such file"),
        (&["0.json", "1.json", "--own", "ap"], "`ap` is named as the user's own"),
        (&["0.json", "1.json", "--kind", "stable"], "no series is of the kind `stable`"),
        (&["0.json", "1.json", "--limit", "1"], "at least 2"),
    ];
    for (arguments, expected) in cases {
        let error = run(directory.path(), &[&["simulate"], *arguments].concat()).unwrap_err();
        assert!(error.contains(expected), "{arguments:?}: {error}");
    }
}

#[test]
fn the_next_image_is_planned_with_the_layers_of_the_one_before() {
    let directory = tempfile::tempdir().unwrap();
    three_images(directory.path());
    let conf = json!({"store_layers": [["/s/1-lib"], ["/s/1-app"]], "other": "keys"});
    fs::write(directory.path().join("conf.json"), conf.to_string()).unwrap();
    let lock = run(directory.path(), &["layers", "conf.json"]).unwrap();
    assert_eq!(lock, "[\n  [\n    \"/s/1-lib\"\n  ],\n  [\n    \"/s/1-app\"\n  ]\n]\n");
    fs::write(directory.path().join("lock.json"), lock).unwrap();
    let previous = ["--strategy", "delta", "--previous", "lock.json"];
    let planned = run(directory.path(), &[&["plan", "1.json"], &previous[..]].concat()).unwrap();
    assert_eq!(planned, "[[\"/s/1-lib\"],[\"/s/2-app\"]]\n");

    let explained = run(directory.path(), &["plan", "1.json", "--explain", "lock.json"]).unwrap();
    let expected = "\
reused      1 of 2 layers, 1.0 kB
changed     20 bytes, in paths that the old image lacks
reshuffled  0 bytes, in paths that the old image has in other layers
unpacked    1 layers, 20 bytes: those above the first that is not where it was

layer 2: 20 bytes changed, 0 bytes reshuffled
  2-app
";
    assert_eq!(explained, expected);
    let one = run(directory.path(), &["plan", "0.json", "--limit", "1", "--explain", "lock.json"]);
    assert!(one.unwrap().contains("reshuffled  1.0 kB"));

    let missing = run(directory.path(), &["layers", "absent.json"]).unwrap_err();
    assert!(missing.contains("there is no file `absent.json`"), "{missing}");
    fs::write(directory.path().join("odd.json"), r#"[["a"], "b"]"#).unwrap();
    let odd = run(directory.path(), &["layers", "odd.json"]).unwrap_err();
    assert!(odd.contains("a list of lists of store paths"), "{odd}");
}
