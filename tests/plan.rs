//! `nix-image plan` on closure graphs, compared with the layers from nixpkgs' own programs.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::support::test_file;
use planner::graph::{Closure, Node};
use planner::{auto, delta, ordered, pipeline, popularity};
use proptest::prelude::*;
use serde_json::{Value, json};

fn plan(graph: &Path, options: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_nix-image"))
        .arg("plan")
        .arg(graph)
        .args(options)
        .output()
        .unwrap()
}

/// What a run printed, or its error.
fn printed(output: &Output) -> Result<Value, String> {
    if output.status.success() {
        Ok(serde_json::from_slice(&output.stdout).unwrap())
    } else {
        assert!(output.stdout.is_empty(), "an error must leave no half answer");
        Err(String::from_utf8(output.stderr.clone()).unwrap())
    }
}

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|item| item.as_str().unwrap()).collect()
}

/// A closure and nixpkgs' answers about it (see `golden/plan/README.md`), and the file with both.
fn golden(file: PathBuf) -> (PathBuf, Value) {
    let value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    (file, value)
}

fn goldens() -> Vec<(PathBuf, Value)> {
    let files = fs::read_dir(test_file("golden/plan")).unwrap();
    let mut files: Vec<PathBuf> = files.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension() == Some("json".as_ref()));
    files.sort();
    assert_eq!(files.len(), 16);
    files.into_iter().map(golden).collect()
}

/// One of them, for tests that need no more.
fn twelve_paths() -> (PathBuf, Value) {
    golden(test_file("golden/plan/12-paths-8-roots.json"))
}

fn exclude_options(case: &Value) -> Vec<&str> {
    strings(&case["exclude"]).into_iter().flat_map(|path| ["--exclude", path]).collect()
}

#[test]
fn auto_makes_the_layers_of_nixpkgs() {
    for (file, golden) in goldens() {
        for case in golden["auto"].as_array().unwrap() {
            let limit = case["limit"].to_string();
            let mut options = vec!["--strategy", "auto", "--limit", &limit];
            options.extend(exclude_options(case));
            let layers = printed(&plan(&file, &options)).unwrap();
            assert!(layers == case["layers"], "{} {options:?}: {layers}", file.display());
        }
    }
}

#[test]
fn popularity_keeps_the_order_of_nixpkgs() {
    for (file, golden) in goldens() {
        let order = strings(&golden["popularity"]);
        let dropped = order[order.len() / 2];
        for (limit, excluded) in [(1, vec![]), (5, vec![]), (5, vec![dropped]), (1000, vec![])] {
            let left: Vec<_> = order.iter().filter(|path| !excluded.contains(*path)).collect();
            let (first, rest) = left.split_at(left.len().min(limit - 1));
            let mut expected: Vec<Value> = first.iter().map(|path| json!([path])).collect();
            expected.extend((!rest.is_empty()).then(|| json!(rest)));

            let limit = limit.to_string();
            let mut options = vec!["--strategy", "popularity", "--limit", &limit];
            options.extend(excluded.iter().flat_map(|path| ["--exclude", path]));
            let layers = printed(&plan(&file, &options)).unwrap();
            assert!(layers == json!(expected), "{} {options:?}: {layers}", file.display());
        }
    }
}

#[test]
fn pipelines_make_the_layers_of_nixpkgs() {
    let directory = tempfile::tempdir().unwrap();
    let steps = directory.path().join("pipeline.json");
    for (file, golden) in goldens() {
        for case in golden["pipeline"].as_array().unwrap() {
            fs::write(&steps, case["pipeline"].to_string()).unwrap();
            let mut options = vec!["--strategy", "pipeline", "--pipeline"];
            options.push(steps.to_str().unwrap());
            options.extend(exclude_options(case));
            let answer = printed(&plan(&file, &options));
            let name = format!("{} {}", file.display(), case["pipeline"]);
            if let Some(layers) = case.get("layers") {
                assert!(answer.as_ref() == Ok(layers), "{name}: {answer:?}");
            } else {
                // Where nixpkgs' program fails, the pipeline is to blame.
                let error = answer.unwrap_err();
                assert!(error.contains("error: step 2"), "{name}: {error}");
            }
        }
    }
}

#[test]
fn reads_the_graph_from_standard_input() {
    let (file, golden) = twelve_paths();
    let output = Command::new(env!("CARGO_BIN_EXE_nix-image"))
        .args(["plan", "-", "--limit", "5"])
        .stdin(Stdio::from(fs::File::open(file).unwrap()))
        .output()
        .unwrap();
    let case = golden["auto"].as_array().unwrap();
    let case = case.iter().find(|case| case["limit"] == 5 && case["exclude"] == json!([]));
    assert_eq!(printed(&output).as_ref(), Ok(&case.unwrap()["layers"]));
}

#[test]
fn says_what_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let file = directory.path().join(name);
        fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let graph = write("graph", r#"[{"path": "h-a", "narSize": 8, "references": ["h-a"]}]"#);
    let circle = write(
        "circle",
        r#"[{"path": "h-a", "narSize": 8, "references": ["h-b"]},
            {"path": "h-b", "narSize": 8, "references": ["h-a"]}]"#,
    );
    let absent = write("absent", r#"[{"path": "h-a", "narSize": 8, "references": ["h-b"]}]"#);
    let broken = write("broken", "{");
    let contest = write("contest", r#"[["popularity_contest"]]"#);
    let over = write("over", r#"[["over", "main", ["reverse"]]]"#);
    let twice = write("twice", r#"[["popularity_contest"], ["popularity_contest"]]"#);
    let missing = directory.path().join("missing").to_str().unwrap().to_owned();

    let cases: &[(&str, &[&str], i32, &str)] = &[
        (&graph, &["--limit", "0"], 2, "a whole number of layers, at least 1"),
        (&graph, &["--limit", "-3"], 2, "a whole number of layers, at least 1"),
        (&graph, &["--limit", "many"], 2, "a whole number of layers, at least 1"),
        (&graph, &["--strategy", "random"], 2, "possible values: auto, ordered, delta"),
        (&graph, &["--strategy", "pipeline"], 2, "--pipeline <FILE>"),
        (&graph, &["--strategy", "auto", "--pipeline", &contest], 1, "drop one of them"),
        (&graph, &["--own", "h-a"], 1, "only with `--strategy ordered` and `--strategy delta`"),
        (&graph, &["--strategy", "ordered", "--own", "b"], 1, "`b` is named as the user's own"),
        (&graph, &["--strategy", "ordered", "--previous", &broken], 1, "`--strategy delta`"),
        (
            &graph,
            &["--strategy", "delta", "--previous", &broken],
            1,
            "as `nix-image layers` prints",
        ),
        (&graph, &["--strategy", "delta", "--previous", &missing], 1, "there is no file"),
        (&graph, &["--strategy", "delta", "--previous", &graph], 1, "a list of lists"),
        (&circle, &["--strategy", "ordered"], 1, "runs in a circle"),
        (&circle, &["--strategy", "delta"], 1, "runs in a circle"),
        (&graph, &["--pipeline", &broken], 1, "the layering pipeline is not JSON"),
        (&graph, &["--pipeline", &missing], 1, "reading"),
        (&graph, &["--pipeline", &over], 1, "step 1 of the layering pipeline, `over`, works on"),
        (&graph, &["--pipeline", &twice], 1, "`popularity_contest`, works on a graph"),
        (&missing, &[], 1, "No such file or directory"),
        (&broken, &[], 1, "the closure graph is not JSON"),
        (&absent, &[], 1, "`h-a` refers to `h-b`"),
        (&circle, &["--strategy", "popularity"], 1, "runs in a circle"),
        (&circle, &["--pipeline", &contest], 1, "runs in a circle"),
    ];
    for (graph, options, code, expected) in cases {
        let output = plan(Path::new(graph), options);
        assert_eq!(output.status.code(), Some(*code), "{options:?}");
        let error = printed(&output).unwrap_err();
        assert!(error.contains(expected), "{options:?}: {error}");
    }

    // The default layout needs no order, and a pipeline drops excluded paths first.
    assert_eq!(printed(&plan(Path::new(&circle), &["--limit", "1"])), Ok(json!([["h-a", "h-b"]])));
    let options = ["--pipeline", &contest, "--exclude", "h-b"];
    assert_eq!(printed(&plan(Path::new(&absent), &options)), Ok(json!([["h-a"]])));
}

#[test]
fn an_empty_closure_has_no_layers() {
    let directory = tempfile::tempdir().unwrap();
    let graph = directory.path().join("graph");
    let steps = directory.path().join("steps");
    fs::write(&graph, r#"{"graph": []}"#).unwrap();
    fs::write(&steps, r#"[["split_paths", ["x"]], ["over", "rest", ["split_every", 2]]]"#).unwrap();
    for options in [
        vec!["--strategy", "auto"],
        vec!["--strategy", "popularity"],
        vec!["--strategy", "ordered"],
        vec!["--strategy", "delta"],
        vec!["--pipeline", steps.to_str().unwrap()],
    ] {
        assert_eq!(printed(&plan(&graph, &options)), Ok(json!([])), "{options:?}");
    }
}

/// Closures without circles: each path refers only to earlier ones, and possibly to itself.
pub(crate) fn closures() -> impl Strategy<Value = Vec<Node>> {
    let node = (0..4_u64, prop::collection::vec(any::<prop::sample::Index>(), 0..5));
    prop::collection::vec(node, 0..30).prop_map(|nodes| {
        let path = |number: usize| format!("/nix/store/{}-pkg{}", number * 7 % 31, number % 9);
        let node = |(number, (size, references)): (usize, (u64, Vec<prop::sample::Index>))| Node {
            path: path(number),
            nar_size: size * 8,
            references: references.iter().map(|other| path(other.index(number + 1))).collect(),
        };
        nodes.into_iter().enumerate().map(node).collect()
    })
}

/// The pipelines of the property below; in all of them, `A` and `B` are two of the paths.
const PIPELINES: [&str; 6] = [
    "[]",
    r#"[["popularity_contest"], ["limit_layers", 4]]"#,
    r#"[["split_paths", ["A", {"children_of": "B"}]], ["flatten"], ["map", ["split_every", 2]]]"#,
    r#"[["subcomponent_in", ["A"]], ["over", "rest", ["subcomponent_out", ["B"]]]]"#,
    r#"[["split_every", 3], ["map", ["split_paths", ["A"]]], ["flatten"], ["reverse"]]"#,
    r#"[["subcomponent_out", ["A", "B"]], ["over", "main", ["pipe", [["popularity_contest"],
        ["limit_layers", 2], ["map", ["popularity_contest"]]]]]]"#,
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_path_is_in_one_layer(
        nodes in closures(),
        limit in 1..40_usize,
        excluded in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        named in any::<[prop::sample::Index; 2]>(),
    ) {
        let limit = std::num::NonZeroUsize::new(limit).unwrap();
        let path = |index: prop::sample::Index| match nodes.as_slice() {
            [] => "none".to_owned(),
            nodes => index.get(nodes).path.clone(),
        };
        let excluded: BTreeSet<String> = excluded.into_iter().map(path).collect();
        let mut expected: Vec<&String> =
            nodes.iter().map(|node| &node.path).filter(|path| !excluded.contains(*path)).collect();
        expected.sort_unstable();

        let closure = Closure::new(nodes.clone()).unwrap();
        let own = (0..nodes.len()).filter(|number| number % 5 == 2).collect();
        let auto = auto::layers(&closure, limit, &excluded);
        let limited = [
            ordered::layers(&closure, limit, &excluded, &own).unwrap(),
            delta::layers(&closure, limit, &excluded, &own, &vec![]).unwrap(),
            delta::layers(&closure, limit, &excluded, &own, &auto).unwrap(),
            popularity::layers(&closure, limit, &excluded).unwrap(),
            auto,
        ];
        prop_assert!(limited.iter().all(|layers| layers.len() <= limit.get()));
        let piped = PIPELINES.map(|steps| {
            let [a, b] = named.map(path);
            let steps = steps.replace("\"A\"", &json!(a).to_string());
            let steps = steps.replace("\"B\"", &json!(b).to_string());
            let steps = pipeline::Pipeline::parse(steps.as_bytes()).unwrap();
            pipeline::layers(nodes.clone(), &steps, &excluded).unwrap()
        });

        for layers in limited.iter().chain(&piped) {
            prop_assert!(layers.iter().all(|layer| !layer.is_empty()));
            let mut paths: Vec<&String> = layers.iter().flatten().collect();
            paths.sort_unstable();
            prop_assert_eq!(&paths, &expected);
        }
    }
}

/// A docker-archive of empty layers, with everything that the planner reads.
fn base_image(file: &Path, layers: usize) {
    let names: Vec<String> = (0..layers).map(|number| format!("{number}/layer.tar")).collect();
    let config = json!({"config": {}, "rootfs": {"diff_ids": vec!["0".repeat(64); layers]}});
    let manifest = json!([{"Config": "config.json", "Layers": names}]);
    let mut archive = tar::Builder::new(fs::File::create(file).unwrap());
    let mut add = |name: &str, content: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        archive.append_data(&mut header, name, content).unwrap();
    };
    for name in &names {
        add(name, &[0; 1024]);
    }
    add("config.json", config.to_string().as_bytes());
    add("manifest.json", manifest.to_string().as_bytes());
    archive.finish().unwrap();
}

#[test]
fn the_layers_of_the_base_image_count_against_the_limit() {
    let directory = tempfile::tempdir().unwrap();
    let base = directory.path().join("base.tar");
    base_image(&base, 3);
    let base = base.to_str().unwrap();
    let (graph, _) = twelve_paths();
    let on_base = plan(&graph, &["--limit", "8", "--from-image", base]);
    let without = printed(&plan(&graph, &["--limit", "5"]));
    assert_eq!(printed(&on_base), without);
    assert_ne!(without, printed(&plan(&graph, &["--limit", "8"])));

    let error = printed(&plan(&graph, &["--limit", "3", "--from-image", base])).unwrap_err();
    assert!(error.contains("raise maxLayers to at least 5"), "{error}");
}

#[test]
fn writes_the_hashes_of_what_is_in_the_layers() {
    let directory = tempfile::tempdir().unwrap();
    let graph = directory.path().join("graph");
    let hashes = directory.path().join("hashes");
    let node = |name: &str| json!({"path": name, "narSize": 8, "references": [], "narHash": name});
    fs::write(&graph, json!({"graph": [node("h-a"), node("h-b")]}).to_string()).unwrap();
    let options = ["--exclude", "h-b", "--nar-hashes", hashes.to_str().unwrap()];
    printed(&plan(&graph, &options)).unwrap();
    let written: Value = serde_json::from_slice(&fs::read(&hashes).unwrap()).unwrap();
    assert_eq!(written, json!({"h-a": "h-a"}));

    let bare = json!([{"path": "h-a", "narSize": 8, "references": []}]);
    fs::write(&graph, bare.to_string()).unwrap();
    let error = printed(&plan(&graph, &options)).unwrap_err();
    assert!(error.contains("`narHash`"), "{error}");
}

#[test]
fn references_are_written_for_the_paths_in_the_layers() {
    let folder = tempfile::tempdir().unwrap();
    let node = |path: &str, references: &[&str]| json!({"path": path, "narSize": 1, "narHash": "x", "references": references});
    let graph = json!([node("a", &["b", "a", "root"]), node("b", &[]), node("root", &["a"])]);
    let (file, written) = (folder.path().join("graph.json"), folder.path().join("out.json"));
    fs::write(&file, graph.to_string()).unwrap();
    let options = ["--exclude", "root", "--references", written.to_str().unwrap()];
    printed(&plan(&file, &options)).unwrap();
    let written: Value = serde_json::from_slice(&fs::read(&written).unwrap()).unwrap();
    assert_eq!(written, json!({"a": ["b"], "b": []}));
}
