//! `--json`: commands print what docs/json.md shows.

use crate::support::docker_registry::{DockerRegistry, PASSWORD, USER};
use crate::support::{NIX_IMAGE, TempStore, command, engines, stdout_of};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The examples in docs/json.md.
fn examples() -> Vec<Value> {
    let text = include_str!("../docs/json.md");
    let blocks = text.split("```json\n").skip(1);
    let blocks = blocks.map(|block| block.split("```").next().unwrap());
    blocks.map(|block| serde_json::from_str(block).unwrap()).collect()
}

/// The kind of an example. The document of `inspect` and the arguments of `pullImage` do not state
/// it.
fn kind(result: &Value) -> &str {
    let other = if result["imageDigest"].is_null() { "inspected" } else { "prefetched" };
    result["what"].as_str().unwrap_or(other)
}

/// Fails unless a value has the keys and types of the documented one. Anything may be `null`
/// instead.
fn compare(at: &str, documented: &Value, printed: &Value) {
    match (documented, printed) {
        (Value::Object(documented), Value::Object(printed)) => {
            let keys: Vec<_> = documented.keys().collect();
            assert_eq!(keys, printed.keys().collect::<Vec<_>>(), "{at}");
            for (key, value) in documented {
                compare(&format!("{at}.{key}"), value, &printed[key]);
            }
        }
        (Value::Array(documented), Value::Array(printed)) => {
            for value in printed {
                compare(&format!("{at}[]"), &documented[0], value);
            }
        }
        (Value::String(_), Value::String(_))
        | (Value::Number(_), Value::Number(_))
        | (Value::Bool(_), Value::Bool(_))
        | (Value::Null, _)
        | (_, Value::Null) => {}
        _ => panic!("{at} is documented as {documented} and printed as {printed}"),
    }
}

/// The only result on standard output, which must be as documented.
fn result_of(command: &mut Command) -> Value {
    let printed = String::from_utf8(stdout_of(command)).unwrap();
    assert_eq!(printed.lines().count(), 1, "{printed}");
    documented(&printed)
}

fn documented(printed: &str) -> Value {
    let result: Value = serde_json::from_str(printed).unwrap();
    let examples = examples();
    let example = examples.iter().find(|example| kind(example) == kind(&result));
    compare(kind(&result), example.expect("it is documented"), &result);
    result
}

fn image() -> (TempStore, PathBuf) {
    let store = TempStore::new();
    let path = format!("/nix/store/{}-small", "1".repeat(32));
    store.write(&format!("{path}/file"), "content");
    let customisation = store.write_customisation_layer(&[0; 1024]);
    let conf = store.write_conf("small", &TempStore::conf(&json!([[path]]), &customisation));
    (store, conf)
}

/// The kinds that need more than the program.
const ELSEWHERE: [&str; 8] = [
    "loaded",
    "logged_in",
    "logged_out",
    "prefetched",
    "pulled",
    "pushed",
    "would_load",
    "would_push",
];

#[test]
fn results_are_as_documented() {
    let (store, conf) = image();
    let images = store.root().join("images");
    let mut seen = BTreeSet::new();
    let mut check = |command: &mut Command| {
        let result = result_of(command.current_dir(store.root()).arg("--json"));
        seen.insert(kind(&result).to_owned());
        result
    };
    let id = check(&mut store.nix_image("inspect", &conf))["Id"].take();
    for (format, path, has_digest) in [
        ("oci", "layout", true),
        ("oci-archive", "image.tar", true),
        ("docker-archive", "docker.tar", false),
    ] {
        let wrote = check(store.nix_image("write", &conf).args([path, "--format", format]));
        assert_eq!(wrote["where"], path);
        assert_eq!(wrote["references"], json!(["test:1"]));
        assert_eq!(wrote["image_id"], id);
        assert_eq!(wrote["digest"].is_string(), has_digest);
        assert_eq!(wrote["layers"], json!({ "total": 2, "moved": 2 }));
        assert_eq!(wrote["way"], "written");
    }
    let mut other = |name: &str, arguments: &[&str]| {
        let mut command = store.nix_image(name, &conf);
        let done = check(command.args(arguments).args(["-o", "other.tar"]));
        assert_eq!(done["images"][0], conf.to_str().unwrap());
        let size = std::fs::metadata(store.root().join("other.tar")).unwrap().len();
        assert_eq!((&done["where"], &done["bytes"]), (&json!("other.tar"), &json!(size)));
    };
    other("merge", &["docker.tar"]);
    other("export", &[]);
    let diff = check(store.nix_image("diff", &conf).arg("docker.tar"));
    assert_eq!((&diff["reused"]["layers"], &diff["changes"]), (&json!(2), &json!([])));
    let why = check(store.nix_image("why", &conf).arg("small"));
    assert_eq!(why["chain"].as_array().unwrap().len(), 1);
    assert_eq!(check(&mut store.nix_image("tree", &conf))["paths"][0]["path"], why["path"]);
    let index = std::fs::read(store.root().join("layout/index.json")).unwrap();
    let index: Value = serde_json::from_slice(&index).unwrap();
    let again = check(store.nix_image("write", &conf).args(["layout", "--format", "oci"]));
    assert_eq!(again["digest"], index["manifests"][0]["digest"]);
    assert_eq!((&again["way"], &again["layers"]["moved"]), (&json!("none"), &json!(0)));

    let add = || {
        let mut add = command(NIX_IMAGE, &["store", "add"]);
        add.arg(&images).arg(&conf).arg("--store-root").arg(store.root());
        add.args(["--import", "copy"]).env("XDG_CACHE_HOME", store.root().join("cache"));
        add
    };
    let added = check(&mut add());
    assert_eq!((&added["what"], &added["way"]), (&json!("added"), &json!("copied")));
    assert_eq!(added["image_id"], id);
    assert_eq!(check(&mut add())["what"], "exists");
    let in_store = |name: &str| {
        let mut command = command(NIX_IMAGE, &["store", name]);
        command.arg(&images);
        command
    };
    let list = check(&mut in_store("list"));
    assert_eq!(list["images"][0]["image_id"], id);
    assert_eq!(list["images"][0]["references"], json!(["localhost/test:1"]));
    let removed = check(in_store("remove").arg("test:1"));
    assert_eq!((&removed["image_id"], &removed["is_gone"]), (&id, &json!(true)));
    assert_eq!(check(&mut in_store("gc"))["layers"], 2);
    let cache = |name: &str| {
        let mut cache = command(NIX_IMAGE, &["cache", name]);
        cache.env("XDG_CACHE_HOME", store.root().join("cache"));
        cache
    };
    assert_ne!(check(&mut cache("info"))["entries"], 0);
    assert_ne!(check(cache("gc").args(["--max-size", "0"]))["entries"], 0);
    assert_eq!(check(&mut cache("info"))["unused_seconds"], Value::Null);
    assert_eq!(check(&mut cache("clear"))["entries"], 0);
    assert_eq!(check(&mut command(NIX_IMAGE, &["cache", "info"]))["where"], Value::Null);

    let mut serve = store.nix_image("serve", &conf);
    let mut server = serve.arg("--json").stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    seen.insert(kind(&documented(&line)).to_owned());

    let examples = examples();
    let all: BTreeSet<_> = examples.iter().map(kind).map(str::to_owned).collect();
    let checked = seen.into_iter().chain(ELSEWHERE.map(str::to_owned)).collect();
    assert_eq!(all, checked);
}

#[test]
fn loads_print_results_as_documented() {
    let engine = engines::podman();
    let (store, conf) = image();
    let load = |name: &str, import: &str, more: &[&str]| {
        let mut load = engine.reach(store.nix_image("load", &conf));
        load.args(["--engine", "podman", "--import", import, "--json", "-t", name]);
        result_of(load.args(more))
    };
    for (import, ways) in [("copy", "copied"), ("off", "sent")] {
        let preview = load("test:1", import, &["--dry-run"]);
        assert_eq!((&preview["what"], &preview["where"]), (&json!("would_load"), &json!("podman")));
        assert_eq!((&preview["way"], &preview["layers"]["moved"]), (&json!(ways), &json!(2)));
    }
    assert_eq!(engine.images(), [""; 0]);
    for (name, import, way, moved) in [
        ("test:1", "copy", "copied", 2),
        ("test:2", "off", "none", 0),
        ("test:3", "auto", "none", 0),
    ] {
        let loaded = load(name, import, &[]);
        assert_eq!((&loaded["where"], &loaded["references"]), (&json!("podman"), &json!([name])));
        assert_eq!((&loaded["way"], &loaded["layers"]["moved"]), (&json!(way), &json!(moved)));
        let id = loaded["image_id"].as_str().unwrap().to_owned();
        let images = engine.images();
        assert!(images.contains(&format!("localhost/{name} {id}")), "{images:?}");
    }
}

#[test]
fn pushes_print_results_as_documented() {
    let registry = DockerRegistry::start();
    let (store, conf) = image();
    let push = |references: &[String]| {
        let mut push = store.nix_image("push", &conf);
        push.args(references).arg("--json").env("DOCKER_CONFIG", store.root());
        String::from_utf8(stdout_of(&mut push)).unwrap()
    };
    let name = |name: &str| format!("{}/{name}", registry.address);
    let references = [name("a:1"), name("a:2"), name("b:1")];
    let preview = push(&[&references[..], &["--dry-run".to_owned()]].concat());
    for (line, moved) in preview.lines().map(documented).zip([2, 0]) {
        assert_eq!(
            (&line["what"], &line["layers"]["moved"]),
            (&json!("would_push"), &json!(moved))
        );
    }
    assert_eq!(preview.lines().count(), 2);
    let printed = push(&references);
    let results: Vec<_> = printed.lines().map(documented).collect();
    let [a, b] = &*results else { panic!("{printed}") };
    assert_eq!(a["references"], json!(references[..2]));
    assert_eq!((&a["where"], &b["where"]), (&json!(name("a")), &json!(name("b"))));
    assert_eq!((&a["way"], &a["layers"]["moved"]), (&json!("sent"), &json!(2)));
    assert_eq!((&b["digest"], &b["image_id"]), (&a["digest"], &a["image_id"]));
    assert_eq!(documented(&push(&references[..1]))["way"], "none");

    let fetch = |name: &str| {
        let mut fetch = command(NIX_IMAGE, &[name, &references[0]]);
        fetch.current_dir(store.root()).arg("--json").env("DOCKER_CONFIG", store.root());
        fetch
    };
    let pulled = result_of(fetch("pull").arg("pulled.tar"));
    assert_eq!(
        (&pulled["where"], &pulled["references"][0]),
        (&json!("pulled.tar"), &a["references"][0])
    );
    assert_eq!((&pulled["digest"], &pulled["image_id"]), (&a["digest"], &a["image_id"]));
    assert_eq!((&pulled["way"], &pulled["layers"]["moved"]), (&json!("fetched"), &json!(2)));
    assert_eq!(result_of(&mut fetch("prefetch"))["imageDigest"], a["digest"]);
}

#[test]
fn logins_print_results_as_documented() {
    let registry = DockerRegistry::with_password();
    let home = TempStore::new();
    let result = |shell: &str| {
        let mut command = command("sh", &["-c", shell, NIX_IMAGE, &registry.address]);
        command.env("DOCKER_CONFIG", home.root()).env_remove("REGISTRY_AUTH_FILE");
        let result = result_of(command.env("PASSWORD", PASSWORD).env("HOME", home.root()));
        assert_eq!(result["where"], registry.address);
        result
    };
    let place = json!([{ "file": home.root().join("config.json") }]);
    let login = "printf %s \"$PASSWORD\" | \"$0\" login \"$1\" -u me --password-stdin --json";
    let logged_in = result(login);
    assert_eq!((&logged_in["what"], &logged_in["user"]), (&json!("logged_in"), &json!(USER)));
    assert_eq!(logged_in["places"], place);
    for places in [place, json!([])] {
        let logged_out = result("\"$0\" logout \"$1\" --json");
        assert_eq!((&logged_out["what"], &logged_out["places"]), (&json!("logged_out"), &places));
    }
}

/// The archive and the result cannot both go to standard output.
#[test]
fn no_result_goes_among_the_bytes_of_an_archive() {
    let (store, conf) = image();
    let mut to_stdout = store.nix_image("write", &conf);
    to_stdout.args(["/dev/stdout", "--format", "oci-archive"]);
    let pull = command(NIX_IMAGE, &["pull", "127.0.0.1:1/app:1", "-"]);
    let [stream, merge, export] =
        ["stream", "merge", "export"].map(|name| store.nix_image(name, &conf));
    let completions = command(NIX_IMAGE, &["completions", "bash"]);
    for mut command in [stream, merge, export, completions, to_stdout, pull] {
        let output = command.arg("--json").output().unwrap();
        assert!(!output.status.success() && output.stdout.is_empty());
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("`--json` prints to standard output"), "{said}");
    }
}

/// A command that fails prints nothing on standard output.
#[test]
fn failures_print_no_result() {
    let store = TempStore::new();
    for name in ["inspect", "load", "push"] {
        let output = store.nix_image(name, "nowhere.json").arg("--json").output().unwrap();
        assert!(!output.status.success() && output.stdout.is_empty());
    }
}

#[test]
fn events_end_with_the_result() {
    let (store, conf) = image();
    let mut write = store.nix_image("write", &conf);
    write.current_dir(store.root()).args(["layout", "--format", "oci", "--progress", "json"]);
    let said = String::from_utf8(write.output().unwrap().stderr).unwrap();
    let mut last: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    let event = last.as_object_mut().unwrap().shift_remove("event");
    assert_eq!(event, Some(json!("result")));
    documented(&last.to_string());
}
