//! The digest cache: used where it is valid, and never for another layer.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::support::{self, TempStore, need};

const FIRST: &str = "/nix/store/11111111111111111111111111111111-first";
const SECOND: &str = "/nix/store/22222222222222222222222222222222-second";
const FILE: &str = "/nix/store/33333333333333333333333333333333-file.conf";

/// A store with paths of three kinds, and the conf of an image that has a layer of each.
fn simple() -> (TempStore, PathBuf) {
    let store = TempStore::new();
    store.write(&format!("{FIRST}/bin/program"), vec![1; 100_000]);
    store.write(&format!("{FIRST}/share/text"), "some text");
    store.write(&format!("{SECOND}/lib/library"), [2; 3000]);
    store.write(FILE, "key = value\n");
    let customisation = store.write_customisation_layer(&[0; 10240]);
    let conf = TempStore::conf(&json!([[FIRST], [SECOND, FILE], [FILE]]), &customisation);
    let conf = store.write_conf("conf", &conf);
    (store, conf)
}

fn stream(store: &TempStore, conf: &Path) -> Vec<u8> {
    support::stdout_of(&mut store.nix_image("stream", conf))
}

fn without_cache(store: &TempStore, conf: &Path) -> Vec<u8> {
    support::stdout_of(store.nix_image("stream", conf).arg("--no-cache"))
}

/// The entries in a store's own cache, sorted by name.
fn entries(store: &TempStore) -> Vec<PathBuf> {
    let mut entries: Vec<_> = glob(&store.root().join("cache/nix-image/layers-1"));
    entries.sort();
    entries
}

fn glob(directory: &Path) -> Vec<PathBuf> {
    let shards = fs::read_dir(directory).into_iter().flatten();
    let files = shards.flat_map(|shard| fs::read_dir(shard.unwrap().path()).unwrap());
    files.map(|file| file.unwrap().path()).collect()
}

/// Changes the digest in every entry, so that its use can be noticed.
fn forge(store: &TempStore) {
    for path in entries(store) {
        let text = fs::read_to_string(&path).unwrap();
        let mut lines = text.lines();
        let (name, value) = (lines.next().unwrap(), lines.next().unwrap());
        let size = value.split(' ').nth(1).unwrap();
        let forged = format!("{name}\nsha256:{} {size}\n", "f".repeat(64));
        let seal = support::sha256(forged.as_bytes());
        fs::write(&path, format!("{forged}{seal}\n")).unwrap();
    }
}

/// How many layers of the image got their digest from a forged cache.
fn forged_layers(store: &TempStore, conf: &Path) -> usize {
    let diff_id = format!("\"sha256:{}\"", "f".repeat(64));
    let archive = stream(store, conf);
    archive.windows(diff_id.len()).filter(|window| *window == diff_id.as_bytes()).count()
}

#[test]
fn archives_are_the_same_cold_warm_and_with_any_number_of_threads() {
    let (store, conf) = simple();
    let expected = without_cache(&store, &conf);
    assert!(entries(&store).is_empty(), "--no-cache remembers nothing");
    for threads in 1..=8 {
        let _ = fs::remove_dir_all(store.root().join("cache"));
        for run in ["cold", "warm", "verified"] {
            let mut command = store.nix_image("stream", &conf);
            command.arg("--threads").arg(threads.to_string());
            if run == "verified" {
                command.arg("--verify");
            }
            assert!(support::stdout_of(&mut command) == expected, "{run}, {threads} threads");
        }
    }
    assert_eq!(entries(&store).len(), 4);
}

#[test]
fn unchanged_layers_are_not_hashed_again() {
    let (store, conf) = simple();
    stream(&store, &conf);
    forge(&store);
    // The customisation layer has its checksum in a file next to it, which is trusted over the
    // cache.
    let said = support::failure_of(&mut store.nix_image("stream", &conf));
    assert!(said.contains("the customisation layer"), "{said}");
    let (store, conf) = simple();
    stream(&store, &conf);
    keep_customisation(&store, forge);
    assert_eq!(forged_layers(&store, &conf), 3);
}

/// Changes the cache, except the customisation layer's entry, which is that of a layer of 10240
/// zeros.
fn keep_customisation(store: &TempStore, change: impl FnOnce(&TempStore)) {
    let zeros = support::sha256(&[0; 10240]);
    let kept = entries(store).into_iter().find_map(|path| {
        let text = fs::read_to_string(&path).unwrap();
        text.contains(&zeros).then_some((path, text))
    });
    change(store);
    let (path, text) = kept.unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn a_changed_path_is_hashed_again() {
    type Change = fn(&TempStore);
    let changes: &[(&str, Change, usize)] = &[
        ("nothing", |_| (), 3),
        (
            "a file was edited in place",
            |store| store.write(&format!("{FIRST}/share/text"), "some TEXT"),
            2,
        ),
        (
            "the path was replaced by one that looks the same",
            |store| {
                let place = store.place(FIRST);
                let aside = store.place("/aside");
                fs::rename(&place, &aside).unwrap();
                copy_as_it_is(&aside, &place);
            },
            2,
        ),
        (
            "a small file, two layers' root, was replaced by another of its size and time",
            |store| {
                let place = store.place(FILE);
                let time = place.metadata().unwrap().modified().unwrap();
                fs::remove_file(&place).unwrap();
                fs::write(&place, "key = other\n").unwrap();
                File::options().append(true).open(&place).unwrap().set_modified(time).unwrap();
            },
            1,
        ),
        (
            "the entries are of another version",
            |store| {
                for path in entries(store) {
                    let text = fs::read_to_string(&path).unwrap().replace("layers-1", "layers-0");
                    fs::write(&path, text).unwrap();
                }
            },
            0,
        ),
        (
            "the entries are cut",
            |store| {
                for path in entries(store) {
                    let text = fs::read(&path).unwrap();
                    fs::write(&path, &text[..text.len() / 2]).unwrap();
                }
            },
            0,
        ),
    ];
    for (case, change, expected) in changes {
        let (store, conf) = simple();
        stream(&store, &conf);
        keep_customisation(&store, forge);
        keep_customisation(&store, change);
        assert_eq!(forged_layers(&store, &conf), *expected, "{case}");
    }
}

/// Copies times and modes, as for a store path that was fetched again.
fn copy_as_it_is(from: &Path, to: &Path) {
    support::stdout_of(Command::new("cp").arg("-a").arg(from).arg(to));
}

/// The image of [`simple`] with NAR hashes in its conf, and that conf.
fn with_hashes() -> (TempStore, PathBuf, Value) {
    let (store, conf) = simple();
    let mut value: Value = serde_json::from_slice(&fs::read(&conf).unwrap()).unwrap();
    let hash = |digit: &str| format!("sha256:{}", digit.repeat(64));
    value["nar_hashes"] = json!({FIRST: hash("1"), SECOND: hash("2"), FILE: hash("3")});
    let conf = store.write_conf("hashes", &value);
    (store, conf, value)
}

/// Replaces [`FIRST`] by another tree that looks the same, as if it was fetched again.
fn fetch_again(store: &TempStore) {
    let place = store.place(FIRST);
    fs::rename(&place, store.place("/aside")).unwrap();
    copy_as_it_is(&store.place("/aside"), &place);
    fs::remove_dir_all(store.place("/aside")).unwrap();
}

fn set_time(file: &Path, seconds: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    File::options().append(true).open(file).unwrap().set_modified(time).unwrap();
}

/// Digests remembered for a path elsewhere, or for one that was here before, are used, but
/// verified.
#[test]
fn nar_hashes_carry_digests_which_are_checked_once() {
    let (store, conf, _) = with_hashes();
    let expected = stream(&store, &conf);
    let known = entries(&store).len();
    fetch_again(&store);
    let mut command = store.nix_image("stream", &conf);
    assert!(support::stdout_of(command.arg("--threads=1")) == expected, "a copy is the same");
    assert_eq!(entries(&store).len(), known + 1, "and it was remembered that it is");
    // The layer of `FIRST` now has one entry that is used: that of this very tree.
    keep_customisation(&store, forge);
    assert_eq!(forged_layers(&store, &conf), 3);
    fetch_again(&store);
    let said = support::failure_of(&mut store.nix_image("stream", &conf));
    assert!(said.contains("layer 1 is sha256:") && said.contains("--verify-path"), "{said}");
    assert_eq!(forged_layers(&store, &conf), 2, "the wrong word is forgotten");
}

#[test]
fn edits_and_other_hashes_are_other_paths() {
    let (store, conf, mut value) = with_hashes();
    stream(&store, &conf);
    let count = entries(&store).len();
    store.write(&format!("{FIRST}/share/text"), "some TEXT");
    stream(&store, &conf);
    assert_eq!(entries(&store).len(), count + 2, "an edit in place shows");
    keep_customisation(&store, forge);
    value["nar_hashes"][FIRST] = json!(format!("sha256:{}", "4".repeat(64)));
    fetch_again(&store);
    let conf = store.write_conf("hashes", &value);
    assert_eq!(forged_layers(&store, &conf), 2, "another hash is another path");
}

/// A damaged file of the right size and time makes a layer with a different digest. Once Nix has
/// repaired the path, no archive may have that digest, whichever command comes next.
#[test]
fn the_digest_of_a_damaged_path_does_not_outlive_its_repair() {
    let (store, conf, _) = with_hashes();
    let text = store.place(&format!("{FIRST}/share/text"));
    set_time(&text, 1);
    let good = without_cache(&store, &conf);
    fs::write(&text, "some tex!").unwrap();
    set_time(&text, 1);
    let damaged = stream(&store, &conf);
    assert!(damaged != good && damaged == without_cache(&store, &conf));
    fs::write(&text, "some text").unwrap();
    set_time(&text, 1);
    fetch_again(&store);
    let said = support::failure_of(&mut store.nix_image("stream", &conf));
    assert!(said.contains("the cache says sha256:"), "{said}");
    assert!(stream(&store, &conf) == good);

    // Commands that read layers in any order hash everything not known for the tree that is here.
    fs::write(&text, "some tex!").unwrap();
    set_time(&text, 1);
    fetch_again(&store);
    let _ = store.nix_image("stream", &conf).output().unwrap();
    let bad = store.nix_image("stream", &conf).output().unwrap().stdout;
    assert!(bad == damaged);
    fs::write(&text, "some text").unwrap();
    set_time(&text, 1);
    fetch_again(&store);
    let written = store.root().join("archive");
    let mut write = store.nix_image("write", &conf);
    support::stdout_of(write.arg(&written).arg("--format=oci-archive"));
    assert!(stream(&store, &conf) == good);
}

#[test]
fn a_wrong_entry_is_found_by_verifying_and_forgotten() {
    let (store, conf) = simple();
    let expected = stream(&store, &conf);
    keep_customisation(&store, forge);
    for _ in 0..3 {
        let said = support::failure_of(store.nix_image("stream", &conf).arg("--verify"));
        assert!(said.contains("changed while it was being written"), "{said}");
    }
    assert!(support::stdout_of(store.nix_image("stream", &conf).arg("--verify")) == expected);
}

#[test]
fn optimising_the_store_costs_no_hit() {
    need("nix-store");
    let store = TempStore::new();
    let source = store.root().join("source");
    fs::create_dir_all(source.join("sub")).unwrap();
    for name in ["one", "two", "sub/three"] {
        fs::write(source.join(name), "the same content in several files").unwrap();
    }
    let store_uri = format!("local?root={}", store.root().display());
    let nix = |arguments: &[&str]| {
        let mut command = support::command("nix-store", arguments);
        command.env("NIX_REMOTE", &store_uri).env("HOME", store.root());
        command
    };
    let add = || {
        let path = support::stdout_of(&mut nix(&["--add", source.to_str().unwrap()]));
        String::from_utf8(path).unwrap().trim().to_owned()
    };
    let path = add();
    fs::write(source.join("one"), "the same content in several files, but not here").unwrap();
    let other = add();
    let customisation = store.write_customisation_layer(&[0; 10240]);
    let conf =
        store.write_conf("conf", &TempStore::conf(&json!([[path], [other]]), &customisation));
    stream(&store, &conf);
    keep_customisation(&store, forge);
    support::stdout_of(&mut nix(&["--optimise"]));
    let links = fs::read_dir(store.place("/nix/store/.links")).unwrap().count();
    assert!(links > 0, "the store was optimised");
    assert_eq!(forged_layers(&store, &conf), 2);
}

#[test]
fn runs_at_the_same_time_do_not_disturb_each_other() {
    let (store, conf) = simple();
    let expected = without_cache(&store, &conf);
    let runs: Vec<_> = (0..8)
        .map(|_| {
            let mut command = store.nix_image("stream", &conf);
            command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
        })
        .collect();
    for run in runs {
        let output = run.wait_with_output().unwrap();
        assert!(output.status.success() && output.stdout == expected);
    }
    assert_eq!(entries(&store).len(), 4, "and leave no temporary files");
}

#[test]
fn a_killed_run_leaves_nothing_that_could_be_used() {
    let (store, conf) = simple();
    store.write(&format!("{FIRST}/large"), vec![9; 8 << 20]);
    let expected = without_cache(&store, &conf);
    for _ in 0..20 {
        let mut run = store
            .nix_image("stream", &conf)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut start = [0; 512];
        run.stdout.as_mut().unwrap().read_exact(&mut start).unwrap();
        run.kill().unwrap();
        run.wait().unwrap();
        assert!(stream(&store, &conf) == expected);
        fs::remove_dir_all(store.root().join("cache")).unwrap();
    }
}

#[test]
fn without_a_home_there_is_no_cache_and_no_complaint() {
    let (store, conf) = simple();
    let expected = without_cache(&store, &conf);
    let unwritable = if support::is_root() { "/proc/none" } else { "/none" };
    for home in [None, Some(""), Some("relative"), Some(unwritable)] {
        let mut command = store.nix_image("stream", &conf);
        command.env_remove("XDG_CACHE_HOME");
        if let Some(home) = home {
            command.env("XDG_CACHE_HOME", home);
        }
        let output = command.output().unwrap();
        assert!(output.status.success() && output.stdout == expected, "{home:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("cache") && !said.contains("error"), "{home:?}: {said}");
    }
}

#[test]
fn the_cache_can_be_looked_at_and_cleaned() {
    let (store, conf) = simple();
    stream(&store, &conf);
    let cache = |arguments: &[&str]| {
        let mut command = support::command(support::NIX_IMAGE, &["cache"]);
        command.args(arguments).env("XDG_CACHE_HOME", store.root().join("cache"));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    let directory = store.root().join("cache/nix-image");
    let info = cache(&["info"]);
    assert!(info.contains(&format!("directory: {}\nentries: 4\n", directory.display())), "{info}");
    let long_ago = SystemTime::now() - Duration::from_secs(100 * 24 * 60 * 60);
    let old = &entries(&store)[0];
    File::options().append(true).open(old).unwrap().set_modified(long_ago).unwrap();
    assert!(cache(&["gc"]).contains("removed 1 entry, "));
    assert!(!old.exists());
    assert!(cache(&["gc", "--max-size", "0"]).contains("removed 3 entries"));
    assert!(entries(&store).is_empty());
}
