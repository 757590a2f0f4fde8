//! References from Nix's database, and from the hashes in files.

use super::{Fixture, path};
use crate::export::{docker_archive, layer, put};
use crate::support::{NIX_IMAGE, command, failure_of, need, stdout_of};
use serde_json::{Value, json};
use std::fs;

/// The references of each path, by its name.
fn references(fixture: &Fixture) -> Vec<(String, Vec<String>)> {
    let name = |path: &Value| path.as_str().unwrap()[44..].to_owned();
    let tree = fixture.json("tree", &[]);
    let mut all: Vec<_> = (tree["paths"].as_array().unwrap().iter())
        .map(|row| {
            let mut targets: Vec<_> =
                row["references"].as_array().unwrap().iter().map(name).collect();
            targets.sort();
            (name(&row["path"]), targets)
        })
        .collect();
    all.sort();
    all
}

fn expected(all: &[(&str, &[&str])]) -> Vec<(String, Vec<String>)> {
    let texts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    all.iter().map(|(name, targets)| ((*name).to_owned(), texts(targets))).collect()
}

/// Writes Nix's database with these paths, and references given by their indexes.
fn write_database(fixture: &Fixture, paths: &[String], references: &[(usize, usize)]) {
    let place = fixture.store.place("/nix/var/nix/db/db.sqlite");
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    let _ = fs::remove_file(&place);
    let tables = "CREATE TABLE ValidPaths (id INTEGER PRIMARY KEY, path TEXT UNIQUE, hash TEXT);
        CREATE TABLE Refs (referrer INTEGER, reference INTEGER);"
        .to_owned();
    let path = |(id, path)| format!("INSERT INTO ValidPaths VALUES ({id}, '{path}', 'sha256:00');");
    let reference = |(from, to)| format!("INSERT INTO Refs VALUES ({from}, {to});");
    let paths = paths.iter().enumerate().map(path);
    let references = references.iter().copied().map(reference);
    let script: String = [tables].into_iter().chain(paths).chain(references).collect();
    stdout_of(&mut command("sqlite3", &[place.as_os_str(), script.as_ref()]));
}

#[test]
fn files_and_links_name_what_they_refer_to() {
    let found = references(&Fixture::new());
    let scanned: [(&str, &[&str]); 3] =
        [("app-1.0", &["lib-2.0", "libc-3.0"]), ("lib-2.0", &["libc-3.0"]), ("libc-3.0", &[])];
    assert_eq!(found, expected(&scanned));
}

#[test]
fn nix_is_believed_if_it_knows_all_paths() {
    need("sqlite3");
    let fixture = Fixture::new();
    let scanned = references(&fixture);
    let paths = [path('1', "app-1.0"), path('2', "lib-2.0"), path('3', "libc-3.0")];
    // What a scan finds: a path also refers to itself, and to something outside the image.
    let all = [&paths[..], &[path('4', "build-tool")]].concat();
    write_database(&fixture, &all, &[(0, 0), (0, 1), (0, 2), (1, 2), (2, 3)]);
    assert_eq!(references(&fixture), scanned);
    // Different from those in the files, to tell them apart.
    write_database(&fixture, &paths, &[(2, 1), (1, 0)]);
    let told: [(&str, &[&str]); 3] =
        [("app-1.0", &[]), ("lib-2.0", &["app-1.0"]), ("libc-3.0", &["lib-2.0"])];
    assert_eq!(references(&fixture), expected(&told));
    write_database(&fixture, &paths[..2], &[(1, 0)]);
    assert_eq!(references(&fixture), scanned);
}

/// The conf's references take precedence over Nix's, and need no file.
#[test]
fn a_conf_is_believed_if_it_knows_all_paths() {
    let fixture = Fixture::new();
    let scanned = references(&fixture);
    let [app, lib, libc] = [path('1', "app-1.0"), path('2', "lib-2.0"), path('3', "libc-3.0")];
    let mut conf: Value = serde_json::from_slice(&fs::read(&fixture.conf).unwrap()).unwrap();
    // Different from those in the files, to tell them apart. Paths outside the image are left out.
    conf["references"] =
        json!({libc.clone(): [lib.clone(), path('4', "tool")], lib: [app.clone()], app: []});
    fs::write(&fixture.conf, conf.to_string()).unwrap();
    let told: [(&str, &[&str]); 3] =
        [("app-1.0", &[]), ("lib-2.0", &["app-1.0"]), ("libc-3.0", &["lib-2.0"])];
    assert_eq!(references(&fixture), expected(&told));
    conf["references"].as_object_mut().unwrap().remove(&libc);
    fs::write(&fixture.conf, conf.to_string()).unwrap();
    assert_eq!(references(&fixture), scanned);
}

#[test]
fn what_would_leave_is_what_nothing_else_needs() {
    let fixture = Fixture::new();
    let why = fixture.json("why", &["lib"]);
    assert_eq!(why["chain"], json!([path('1', "app-1.0"), path('2', "lib-2.0")]));
    assert_eq!(why["would_leave"]["paths"], json!([path('2', "lib-2.0")]));
    let why = fixture.json("why", &["app-1.0"]);
    assert_eq!(why["would_leave"]["bytes"], why["closure_size"]);
    assert_eq!(why["needed_by"], json!([]));
}

#[test]
fn one_of_several_paths_of_a_name_is_chosen() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (path('1', "gcc-13"), path('2', "gcc-14"));
    let tar = layer(&[(b'0', &old, b""), (b'0', &new, b"")]);
    let image = put(folder.path(), "image.tar", &docker_archive(&[tar]));
    let why = |text: &str| {
        let mut why = command(NIX_IMAGE, &["why"]);
        why.arg(&image).arg(text);
        why
    };
    let said = failure_of(&mut why("gcc"));
    assert_eq!(
        said,
        format!(
            "error: `gcc` is the name of 2 paths; give one of them, or its hash:\n  {old}\n  {new}\n"
        )
    );
    for text in [&new, &new[11..43], &new[11..], "gcc-14"] {
        let said = String::from_utf8(stdout_of(&mut why(text))).unwrap();
        assert!(said.starts_with("gcc-14 (512 bytes)\n"), "{said}");
    }
}
