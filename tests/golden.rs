//! The golden images: what nixpkgs' script wrote for an awkward store (see `golden/README.md`).

use crate::support::{
    DROP_IN, TempStore, archive, is_root, need_root, private_root, python3, sha256, stdout_of,
    test_file,
};
use formats::python::time::DateTime;
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// The store of `make_store.py`, and the hashes of its images.
#[derive(Debug)]
pub(crate) struct Golden {
    pub(crate) store: TempStore,
    pub(crate) expected: serde_json::Map<String, Value>,
}

impl Golden {
    pub(crate) fn new() -> Self {
        let mut make = Command::new(python3());
        let store = TempStore::new();
        stdout_of(make.arg(test_file("golden/make_store.py")).arg(store.root()));
        let expected = fs::read(test_file("golden/expected.json")).unwrap();
        Self { store, expected: serde_json::from_slice(&expected).unwrap() }
    }

    /// Runs the reference writer.
    fn reference(&self) -> Command {
        let mut command = Command::new(python3());
        command.arg(test_file("reference.py")).arg("--store-root").arg(self.store.root());
        command
    }

    /// The conf of a case, and the arguments after it.
    pub(crate) fn arguments(&self, case: &str) -> (PathBuf, Vec<String>) {
        let mut words = case.split(' ').map(str::to_owned);
        let conf = format!("confs/{}.json", words.next().unwrap());
        (self.store.root().join(conf), words.collect())
    }

    /// The image ID of a case, without its algorithm.
    pub(crate) fn id(&self, case: &str) -> &str {
        self.expected[case]["config"].as_str().unwrap()
    }

    /// Compares everything that does not depend on the owner of the store's files.
    fn check_image(&self, case: &str, archive: &[u8]) {
        let expected = &self.expected[case];
        let image = archive::image(archive);
        // For an image with another tag, only the whole archive is recorded.
        if let Some(layers) = expected.get("layers") {
            assert_eq!(*layers, Value::from(image.layer_digests), "{case}: layers");
            assert_eq!(expected["config"], image.id, "{case}: image ID");
        }
    }

    /// Compares the whole archive, which records root as the owner of the store's files.
    fn check(&self, case: &str, archive: &[u8]) {
        let expected = &self.expected[case];
        self.check_image(case, archive);
        assert_eq!(expected["bytes"], archive.len(), "{case}: length");
        assert_eq!(expected["sha256"], sha256(archive), "{case}: the archive's bytes");
    }
}

#[test]
fn images_are_byte_for_byte_those_of_nixpkgs() {
    need_root("write archives with files of root's");
    let golden = Golden::new();
    assert_eq!(golden.expected.len(), 21);
    for case in golden.expected.keys() {
        let (conf, options) = golden.arguments(case);
        // Once with an empty cache, once with the cache of the first run.
        for _ in 0..2 {
            let archive = stdout_of(golden.store.nix_image("stream", &conf).args(&options));
            golden.check(case, &archive);
        }
    }
}

/// Works whichever user owns the store's files.
#[test]
fn layers_and_image_ids_are_those_of_nixpkgs() {
    let golden = Golden::new();
    for case in golden.expected.keys() {
        let (conf, options) = golden.arguments(case);
        let archive = stdout_of(golden.store.nix_image("stream", &conf).args(&options));
        golden.check_image(case, &archive);
    }
}

/// The drop-in has no `--store-root`, so its store is at its real path.
#[test]
fn the_drop_in_writes_the_same_images() {
    let golden = Golden::new();
    private_root::need(&golden.store, DROP_IN);
    for case in golden.expected.keys() {
        let (conf, options) = golden.arguments(case);
        let archive =
            stdout_of(private_root::command(&golden.store, DROP_IN).arg(conf).args(&options));
        golden.check(case, &archive);
    }
}

#[test]
fn an_original_conf_gives_what_the_reference_writes() {
    let golden = Golden::new();
    let (conf, _) = golden.arguments("original-schema");
    let ours = stdout_of(&mut golden.store.nix_image("stream", &conf));
    let theirs = stdout_of(golden.reference().arg(&conf));
    assert_eq!(archive::image(&ours).config, archive::image(&theirs).config);
    assert!(ours == theirs, "the archives differ outside of their configs");
}

/// nixpkgs' script passes the config on, whatever it is.
#[test]
fn a_config_that_engines_refuse_is_written_all_the_same() {
    let golden = Golden::new();
    let customisation = golden.store.write_customisation_layer(&[0; 1024]);
    for config in [
        json!({"Cmd": "sh", "Entrypoint": "é"}),
        json!({"User": 1000, "Env": {"A": "b"}, "ExposedPorts": ["80"], "StopTimeout": 1.50}),
        json!(["sh"]),
        json!("sh"),
        json!(null),
    ] {
        let mut conf = TempStore::conf(&json!([]), &customisation);
        conf["config"] = config.clone();
        let conf = golden.store.write_conf("odd", &conf);
        let ours = stdout_of(&mut golden.store.nix_image("stream", &conf));
        assert_eq!(archive::image(&ours).config["config"], config);
        let theirs = stdout_of(golden.reference().arg(&conf));
        assert!(ours == theirs, "{config}: the archives differ");
    }
}

/// The reference writer agrees with the recorded values.
#[test]
fn the_reference_writes_the_golden_images() {
    let golden = Golden::new();
    for case in golden.expected.keys() {
        let (conf, options) = golden.arguments(case);
        let archive = stdout_of(golden.reference().arg(conf).args(options));
        if is_root() {
            golden.check(case, &archive);
        } else {
            golden.check_image(case, &archive);
        }
    }
}

/// "now" means the same instant everywhere, and is never written literally.
#[test]
fn now_is_one_instant() {
    let store = TempStore::new();
    let customisation = store.write_customisation_layer(&[0; 1024]);
    let mut conf = TempStore::conf(&json!([[]]), &customisation);
    (conf["created"], conf["mtime"]) = (json!("now"), json!("now"));
    let conf = store.write_conf("now", &conf);
    let archive = stdout_of(&mut store.nix_image("stream", conf));
    let image = archive::image(&archive);
    let created = image.config["created"].as_str().unwrap();
    let instant = DateTime::fromisoformat(created).unwrap();
    assert!((DateTime::now_utc().timestamp() - instant.timestamp()).abs() < 60, "{created}");
    for entry in image.config["history"].as_array().unwrap() {
        assert_eq!(entry["created"], created);
    }
    let mtime = format!("{:011o}\0", instant.timestamp());
    for member in archive::members(&archive) {
        assert_eq!(member.header[136..148], *mtime.as_bytes(), "{member:?}");
    }
}

#[test]
fn inspect_tells_what_is_streamed() {
    let golden = Golden::new();
    for case in golden.expected.keys() {
        let (conf, options) = golden.arguments(case);
        let shown = stdout_of(golden.store.nix_image("inspect", &conf).args(&options));
        let shown: Value = serde_json::from_slice(&shown).unwrap();
        let image =
            archive::image(&stdout_of(golden.store.nix_image("stream", &conf).args(options)));
        assert_eq!(shown["Id"], format!("sha256:{}", image.id), "{case}");
        let layers = shown["Layers"].as_array().unwrap();
        let diff_ids: Vec<_> = layers.iter().map(|layer| layer["DiffID"].clone()).collect();
        let streamed = image.layer_digests.iter().map(|digest| format!("sha256:{digest}").into());
        assert_eq!(diff_ids, streamed.collect::<Vec<Value>>(), "{case}");
    }
}
