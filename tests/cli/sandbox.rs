//! A directory in which commands print the same on every machine.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use regex::Regex;
use serde_json::{Value, json};

use crate::support::{NIX_IMAGE, TempStore, test_file};

/// A store with an image's paths, confs and a graph, in which the programs are called by name.
pub(super) struct Sandbox {
    store: TempStore,
    filters: Vec<(Regex, &'static str)>,
}

/// Output that varies between runs, and its replacements.
const FILTERS: &[(&str, &str)] = &[
    (r"\b\d+\.\d s\b", "[TIME] s"),
    (r#""seconds":\d+\.\d+"#, r#""seconds":[TIME]"#),
    (r"used entry: .* ago", "used entry: [TIME] ago"),
    // The size of a cache depends on inode numbers.
    (r"(size: |entries, )\d[\d.]* (bytes|kB)", "${1}[SIZE]"),
];

impl Sandbox {
    pub(super) fn new() -> Self {
        let store = TempStore::new();
        let hello = format!("/nix/store/{}-hello-1.0", "1".repeat(32));
        store.write(&format!("{hello}/bin/hello"), "#!/bin/sh\necho hello\n");
        let libc = format!("/nix/store/{}-libc-1.0", "2".repeat(32));
        store.write(&format!("{libc}/lib/libc.so"), [0; 5000]);
        let customisation = store.write_customisation_layer(&[0; 1024]);
        let conf = TempStore::conf(&json!([[libc], [hello]]), &customisation);
        let broken = |key: &str, value: Option<Value>| {
            let mut conf = conf.clone();
            let object = conf.as_object_mut().unwrap();
            match value {
                Some(value) => object.insert(key.into(), value),
                None => object.remove(key),
            };
            conf
        };
        store.write_conf("conf", &conf);
        // Images with references: a program that runs another one, and its next version.
        let app = |version: &str, digit: &str, uses: &[&str]| {
            let path = format!("/nix/store/{}-app-{version}", digit.repeat(32));
            store.write(&format!("{path}/bin/app"), uses.join("\n"));
            store.write(&format!("{path}/share/libc.so"), [0; 5000]);
            path
        };
        let old = app("1.0", "5", &[&hello, &libc]);
        let new = app("1.1", "6", &[&libc]);
        for (name, layers) in
            [("old", json!([[libc], [hello], [old]])), ("new", json!([[libc], [new]]))]
        {
            let mut conf = conf.clone();
            conf["store_layers"] = layers;
            conf["repo_tag"] = json!(format!("app:{name}"));
            conf["config"] = json!({"Cmd": [name]});
            store.write_conf(name, &conf);
        }
        store.write_conf("no-path", &broken("store_layers", Some(json!([["/nix/store/3-gone"]]))));
        store.write_conf("no-tag", &broken("repo_tag", None));
        store.write_conf(
            "no-root",
            &broken("customisation_layer", Some(json!("/nix/store/4-gone"))),
        );
        store.write_conf("list", &json!([]));
        // Its files are at their real paths.
        fs::write(store.root().join("CONF"), here(&store, &conf, "app:1")).unwrap();
        let circle = json!([
            { "path": "h-a", "references": ["h-b"], "narSize": 1, "closureSize": 2 },
            { "path": "h-b", "references": ["h-a"], "narSize": 1, "closureSize": 2 },
        ]);
        store.write_conf("circle", &circle);
        fs::copy(small_graph(), store.root().join("graph.json")).unwrap();
        settle(store.root());
        let filters = FILTERS.iter().map(|(from, to)| (Regex::new(from).unwrap(), *to));
        Self { filters: filters.collect(), store }
    }

    /// A directory that also has the images of the documents: `result`, and `result-changed`, where
    /// a path in one of the layers differs. They are scripts like those that Nix builds, and their
    /// files are at their real paths.
    pub(super) fn with_results() -> Self {
        let sandbox = Self::new();
        let store = &sandbox.store;
        let newer = format!("/nix/store/{}-hello-1.1", "3".repeat(32));
        store.write(&format!("{newer}/bin/hello"), "#!/bin/sh\necho hello again\n");
        let mut conf: Value =
            serde_json::from_slice(&fs::read(store.root().join("conf.json")).unwrap()).unwrap();
        let write = |file: &str, conf: &Value| {
            let place = store.place(&format!("/nix/store/{}-{file}-conf.json", "4".repeat(32)));
            fs::write(&place, here(store, conf, "app:1")).unwrap();
            let script =
                format!("#!/bin/sh\nexec stream-layered-image {} \"$@\"\n", place.display());
            fs::write(store.root().join(file), script).unwrap();
        };
        write("result", &conf);
        conf["store_layers"][1] = json!([newer]);
        write("result-changed", &conf);
        settle(store.root());
        for file in ["result", "result-changed"] {
            let executable = Permissions::from_mode(0o755);
            fs::set_permissions(store.root().join(file), executable).unwrap();
        }
        sandbox
    }

    /// A shell command that sees no terminal and nothing of the user's.
    pub(super) fn shell(&self, command: &str) -> Command {
        let programs = Path::new(NIX_IMAGE).parent().unwrap().to_owned();
        let path = std::env::var_os("PATH").unwrap();
        let path = [programs].into_iter().chain(std::env::split_paths(&path));
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).current_dir(self.store.root()).stdin(Stdio::null());
        shell.env_clear().env("PATH", std::env::join_paths(path).unwrap());
        shell.env("HOME", self.store.root()).env("COLUMNS", "100");
        shell
    }

    /// Runs a command. Returns its exit status, if it failed, and everything it printed.
    pub(super) fn run(&self, command: &str) -> String {
        let output = self.shell(&format!("exec 2>&1\n{command}")).output().unwrap();
        let status = match output.status.code().unwrap() {
            0 => String::new(),
            status => format!("? {status}\n"),
        };
        status + &self.filtered(&String::from_utf8(output.stdout).unwrap())
    }

    /// A text with the varying parts replaced.
    pub(super) fn filtered(&self, text: &str) -> String {
        let root = self.store.root().display().to_string();
        let text = text.replace(&root, "[DIR]").replace(env!("CARGO_PKG_VERSION"), "[VERSION]");
        self.filters.iter().fold(text, |text, (from, to)| from.replace_all(&text, *to).into_owned())
    }
}

/// A conf with another name, whose store is at its real path.
fn here(store: &TempStore, conf: &Value, name: &str) -> String {
    let directory = store.place("/nix/store").display().to_string();
    conf.to_string().replace("/nix/store", &directory).replace("test:1", name)
}

/// The smallest closure graph with known results of nixpkgs that is more than a chain of paths.
fn small_graph() -> PathBuf {
    let files = fs::read_dir(test_file("golden/plan")).unwrap().map(|file| file.unwrap().path());
    let is_closure = |file: &PathBuf| {
        let golden: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
        golden["graph"].as_array().is_some_and(|graph| graph.len() >= 5)
    };
    let files = files.filter(|file| file.extension().is_some_and(|suffix| suffix == "json"));
    files.filter(is_closure).min_by_key(|file| fs::metadata(file).unwrap().len()).unwrap()
}

/// Gives everything below a directory the same modes on every machine, and a store's time.
fn settle(directory: &Path) {
    for entry in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap()) {
        let is_directory = entry.file_type().unwrap().is_dir();
        let mode = if is_directory { 0o755 } else { 0o644 };
        fs::set_permissions(entry.path(), Permissions::from_mode(mode)).unwrap();
        if is_directory {
            settle(&entry.path());
        }
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
        File::open(entry.path()).unwrap().set_modified(time).unwrap();
    }
}
