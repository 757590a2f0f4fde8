//! Random stores and confs: the whole archive is compared with that of `reference.py`.

use crate::python_formats::{date_text, json_text, text};
use crate::support::tree::{self, Node};
use crate::support::{Python, TempStore, run};
use formats::python::time::DateTime;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value, json};
use std::cell::RefCell;
use std::fs;

/// Writes the archive of a conf, and before that any base image that it has.
const REFERENCE: &str = "
import gzip, hashlib, io, json, tarfile
from reference import Image

def make_base(place, base):
    formats = {'pax': tarfile.PAX_FORMAT, 'gnu': tarfile.GNU_FORMAT}
    with tarfile.open(place, base['mode'], format=formats[base['format']]) as tar:
        def add(name, data, fields={}):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            for key, value in fields.items():
                setattr(info, key, value)
            tar.addfile(info, io.BytesIO(data))
        names, diff_ids = [], []
        for layer in base['layers']:
            name = layer['name']
            data = bytes(range(256)) * 9 + name.encode()
            names.append(name)
            diff_ids.append('sha256:' + hashlib.sha256(data).hexdigest())
            # Some images have compressed layers; their digest is that of the content.
            add(name, gzip.compress(data) if name.startswith('c') else data, layer['fields'])
        image = {'config': base['config'], 'rootfs': {'diff_ids': diff_ids}}
        add('base-config.json', json.dumps(image).encode())
        add('manifest.json', json.dumps([{'Config': 'base-config.json', 'Layers': names}]).encode())

def answer(question):
    root = question['root']
    with open(question['conf']) as file:
        conf = json.load(file)
    if question['base'] is not None:
        make_base(root + conf['from_image'], question['base'])
    with open(root + '/archive', 'wb') as out:
        Image(conf, out, root).write(question['tag'])
";

/// Everything that defines a case.
#[derive(Debug, Clone)]
struct Case {
    paths: Vec<(String, Node)>,
    /// For each layer, the paths in it.
    layers: Vec<Vec<Index>>,
    customisation: Customisation,
    base: Option<Value>,
    config: Map<String, Value>,
    /// Keys of the conf to replace; null removes one.
    fields: Vec<(&'static str, Value)>,
    tag: Option<String>,
}

#[derive(Debug, Clone)]
enum Customisation {
    /// A finished tar of this many bytes.
    Tar(usize),
    /// A plain tree, as in confs of the original schema.
    Tree(Vec<(Vec<u8>, Node)>),
}

fn case() -> impl Strategy<Value = Case> {
    let path = ("[0-9a-df-np-sv-z]{32}-[a-zA-Z0-9+._?=-]{1,60}", tree::node())
        .prop_map(|(name, node)| (format!("/nix/store/{name}"), node));
    let tree = prop::collection::vec((tree::name(), tree::node()), 0..4);
    let customisation = prop_oneof![
        3 => select(vec![0, 1, 512, 10_240, 70_000]).prop_map(Customisation::Tar),
        1 => tree.prop_map(Customisation::Tree),
    ];
    (
        prop::collection::vec(path, 0..4),
        prop::collection::vec(prop::collection::vec(any::<Index>(), 0..4), 0..4),
        customisation,
        prop::option::weighted(0.4, base_image()),
        config(),
        fields(),
        prop::option::weighted(0.3, word()),
    )
        .prop_map(|(paths, layers, customisation, base, config, fields, tag)| Case {
            paths,
            layers,
            customisation,
            base,
            config,
            fields,
            tag,
        })
}

/// Text without NUL.
fn word() -> impl Strategy<Value = String> {
    text().prop_map(|text| text.replace('\0', ""))
}

fn env() -> impl Strategy<Value = Value> {
    let variable = ("[ABC]", text()).prop_map(|(name, value)| format!("{name}={value}"));
    let entry = prop_oneof![6 => variable, 1 => "[ABC]", 1 => text()];
    prop::collection::vec(entry, 0..5).prop_map(Value::from)
}

/// Any JSON under keys that no engine knows, and an environment.
fn config() -> impl Strategy<Value = Map<String, Value>> {
    let value = json_text().prop_map(|text| serde_json::from_str(&text).unwrap());
    let other = text().prop_map(|key| format!("x{key}"));
    (prop::collection::vec((other, value), 0..4), prop::option::of(env())).prop_map(
        |(others, env)| {
            let env = env.map(|env| ("Env".to_owned(), env));
            let mut entries: Vec<_> = others.into_iter().chain(env).collect();
            entries.reverse();
            entries.into_iter().collect()
        },
    )
}

fn base_image() -> impl Strategy<Value = Value> {
    let name = prop_oneof!["[a-f0-9]{8}/layer\\.tar", "[a-f]{80,130}", "é{1,60}/layer\\.tar"];
    let mtime = prop_oneof![
        any::<u32>().prop_map(Value::from),
        select(vec![json!(1.5), json!(0.25), json!(-3), json!(8_589_934_592_i64), json!(2.5)]),
    ];
    let fields = (0..=0o7777u32, 0..5_000_000u32, mtime, "[a-zéю ]{0,40}", "[a-zé]{0,40}").prop_map(
        |(mode, uid, mtime, uname, gname)| {
            json!({"mode": mode, "uid": uid, "gid": uid / 2, "mtime": mtime, "uname": uname, "gname": gname})
        },
    );
    let layer = (name, fields).prop_map(|(name, fields)| json!({"name": name, "fields": fields}));
    let config = prop::option::of(env())
        .prop_map(|env| env.map_or_else(|| json!({"Cmd": []}), |env| json!({"Env": env})));
    (
        select(vec!["w", "w:gz", "w:bz2", "w:xz"]),
        select(vec!["pax", "gnu"]),
        prop::collection::vec(layer, 0..4),
        config,
    )
        .prop_map(|(mode, format, mut layers, config)| {
            if format == "gnu" {
                // The original schema has whole seconds only.
                for layer in &mut layers {
                    layer["fields"]["mtime"] =
                        json!(layer["fields"]["mtime"].as_u64().unwrap_or(7));
                }
            }
            json!({"mode": mode, "format": format, "layers": layers, "config": config})
        })
}

fn fields() -> impl Strategy<Value = Vec<(&'static str, Value)>> {
    let date = prop_oneof![
        3 => date_text().prop_filter("a date that Python can count", |text| {
            let edge = ["0001", "9999"].iter().any(|year| text.starts_with(year));
            !edge && DateTime::fromisoformat(text).is_ok()
        }),
        1 => select(vec!["1901-12-13T20:45:52Z", "2242-03-16T12:56:32Z", "1969-12-31T23:59:59.5Z"])
            .prop_map(str::to_owned),
    ];
    let id = prop_oneof![
        (0..100_000i64).prop_map(|id| id),
        select(vec![-1, 0o7_777_777, 0o10_000_000, 4_294_967_295, 1 << 40]),
    ];
    let id = id.prop_map(|id| id.to_string());
    let name = prop_oneof!["[a-z]{0,40}", word()];
    let field = prop_oneof![
        date.clone().prop_map(|date| ("created", json!(date))),
        date.prop_map(|date| ("mtime", json!(date))),
        id.clone().prop_map(|id| ("uid", json!(id))),
        id.prop_map(|id| ("gid", json!(id))),
        name.clone().prop_map(|name| ("uname", json!(name))),
        name.prop_map(|name| ("gname", json!(name))),
        text().prop_map(|text| ("architecture", json!(text))),
        text().prop_map(|text| ("repo_tag", json!(text))),
        select(vec!["mtime", "uid", "gid", "uname", "gname", "store_dir", "from_image"])
            .prop_map(|key| (key, Value::Null)),
    ];
    prop::collection::vec(field, 0..6)
}

impl Case {
    /// Writes the store, and returns the conf.
    fn lay_out(&self, store: &TempStore) -> Value {
        let mut writer = tree::Writer::default();
        for (path, node) in &self.paths {
            writer.write(&store.place(path), node);
        }
        let layer = |indexes: &Vec<Index>| -> Vec<&str> {
            let paths = indexes.iter().filter(|_| !self.paths.is_empty());
            paths.map(|index| index.get(&self.paths).0.as_str()).collect()
        };
        let layers: Vec<_> = self.layers.iter().map(layer).collect();
        let customisation = match &self.customisation {
            Customisation::Tar(size) => store.write_customisation_layer(&vec![b'x'; *size]),
            Customisation::Tree(entries) => {
                let path = format!("/nix/store/{}-tree", "d".repeat(32));
                let root = Node::Directory { mode: 0o555, entries: entries.clone() };
                writer.write(&store.place(&path), &root);
                path
            }
        };
        let mut conf = TempStore::conf(&json!(layers), &customisation);
        conf["config"] = self.config.clone().into();
        for (key, value) in &self.fields {
            conf[key] = value.clone();
        }
        conf.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        if self.base.is_some() {
            conf["from_image"] = json!(format!("/nix/store/{}-base.tar", "b".repeat(32)));
        }
        conf
    }
}

#[test]
fn archives_equal_the_references() {
    let python = RefCell::new(Python::start_with_reference(REFERENCE));
    let config = Config { max_shrink_iters: 400, failure_persistence: None, ..Config::default() };
    let result = TestRunner::new(config).run(&case(), |case| {
        let store = TempStore::new();
        let conf = store.write_conf("conf", &case.lay_out(&store));
        let root = store.root().to_str().unwrap();
        python
            .borrow_mut()
            .ask(&json!({"root": root, "conf": conf, "base": case.base, "tag": case.tag}));
        let tag = case.tag.iter().map(|tag| format!("--repo_tag={tag}"));
        let ours = run(store.nix_image("stream", &conf).args(tag)).map_err(TestCaseError::fail)?;
        let theirs = fs::read(store.root().join("archive")).unwrap();
        prop_assert!(
            ours == theirs,
            "the archives differ from byte {:?} on",
            differing(&ours, &theirs)
        );
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

fn differing(ours: &[u8], theirs: &[u8]) -> Option<usize> {
    ours.iter().zip(theirs).position(|(ours, theirs)| ours != theirs)
}
