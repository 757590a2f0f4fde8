//! Checks that docs/architecture.md describes the code.

use crate::support::sources::{
    CRATES, attributes, imports, is_public, is_test, parse, project_file, visibility,
};
use crate::support::{python3, stdout_of};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use syn::spanned::Spanned as _;
use syn::{ImplItem, Item, ItemMod as Module};

/// A module at the top of a crate, as `CRATE::MODULE`, with the sibling modules and the crates that
/// it uses.
type Rooms = BTreeMap<String, BTreeSet<String>>;

fn document() -> String {
    fs::read_to_string(project_file("docs/architecture.md")).unwrap()
}

#[test]
fn the_drawing_is_what_the_script_draws() {
    let mut draw = Command::new(python3());
    let drawing = stdout_of(draw.arg(project_file("scripts/draw-architecture")).arg("--print"));
    let drawing = String::from_utf8(drawing).unwrap();
    assert!(document().contains(&drawing), "run scripts/draw-architecture, which draws\n{drawing}");
}

#[test]
fn a_crate_uses_only_those_before_it() {
    let mut metadata = Command::new(env!("CARGO"));
    metadata.args(["metadata", "--no-deps", "--offline", "--format-version", "1"]);
    let metadata = stdout_of(metadata.current_dir(env!("CARGO_MANIFEST_DIR")));
    let metadata: Value = serde_json::from_slice(&metadata).unwrap();
    let place = |package: &Value| {
        let name = package["name"].as_str().unwrap();
        let name = name.strip_prefix("nix-image-").unwrap_or("program");
        CRATES.iter().position(|(known, _)| *known == name)
    };
    for package in metadata["packages"].as_array().unwrap() {
        for dependency in package["dependencies"].as_array().unwrap() {
            if let (Some(user), Some(used)) = (place(package), place(dependency)) {
                let others = dependency["name"].as_str().unwrap().starts_with("nix-image");
                let names = format!("{} depends on {}", package["name"], dependency["name"]);
                assert!(!others || used < user, "{names}, which does not come before it");
            }
        }
    }
}

/// The rows of the table of modules.
fn told() -> Rooms {
    let document = document();
    let table = document.split("| module |").nth(1).expect("the table of rooms");
    let names = |cell: &str| -> Vec<String> {
        cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    let row = |line: &str| {
        let cells: Vec<_> = line.trim_matches('|').split('|').collect();
        assert_eq!(cells.len(), 4, "module, what it knows, I/O, may use: {line}");
        (names(cells[0]).remove(0), names(cells[3]).into_iter().collect())
    };
    table.lines().skip(2).take_while(|line| line.starts_with('|')).map(row).collect()
}

/// A file's source, without comments and tests.
fn source(file: &Path) -> String {
    let (mut text, parsed) = parse(file);
    let mut tests = Vec::new();
    find_tests(&parsed.items, &mut tests);
    for test in tests.into_iter().rev() {
        text.replace_range(test, "");
    }
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let text: String = lines.flat_map(|line| [line, "\n"]).collect();
    let only_here = "belongs on an item or a method: elsewhere tests/architecture.rs overlooks it";
    assert!(!text.contains("#[cfg(test)]"), "`{}`: #[cfg(test)] {only_here}", file.display());
    text
}

/// The text ranges of items that are compiled only for tests.
fn find_tests(items: &[Item], found: &mut Vec<Range<usize>>) {
    for item in items {
        match item {
            item if is_test(attributes(item)) => found.push(item.span().byte_range()),
            Item::Mod(Module { content: Some((_, items)), .. }) => find_tests(items, found),
            Item::Impl(item) => found.extend(item.items.iter().filter_map(|item| match item {
                ImplItem::Fn(item) if is_test(&item.attrs) => Some(item.span().byte_range()),
                _ => None,
            })),
            _ => {}
        }
    }
}

/// The files of a module, each with its depth below the crate's root.
fn files(path: &Path, depth: usize, found: &mut Vec<(PathBuf, usize)>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()) {
            let deeper = depth + usize::from(!entry.ends_with("mod.rs"));
            files(&entry, deeper, found);
        }
    } else if path.extension() == Some("rs".as_ref()) && !path.ends_with("tests.rs") {
        found.push((path.to_owned(), depth));
    }
}

/// The names that follow a path's start anywhere in the text: a single one, or those in braces.
fn after<'a>(text: &'a str, start: &'a str) -> impl Iterator<Item = &'a str> {
    let whole = |&(at, _): &(usize, &str)| {
        let before = text[..at].chars().next_back();
        !before.is_some_and(|char| char.is_alphanumeric() || matches!(char, '_' | ':'))
    };
    text.match_indices(start).filter(whole).flat_map(|(at, start)| {
        let rest = &text[at + start.len()..];
        let mut depth = 0;
        let end = |char: char| {
            depth += i32::from(char == '{') - i32::from(char == '}');
            depth == 0 && !(char.is_alphanumeric() || char == '_' || char == '}')
        };
        let path = &rest[..rest.find(end).unwrap_or(rest.len())];
        top_names(path)
    })
}

/// For `{a, b::{c, d}}`, `a` and `b`.
fn top_names(path: &str) -> Vec<&str> {
    let Some(inner) = path.strip_prefix('{') else { return vec![path] };
    let mut depth = 0;
    let parts = inner.split(|char: char| {
        depth += i32::from(char == '{') - i32::from(char == '}');
        depth == 0 && char == ','
    });
    let name = |part: &'_ str| part.trim().split([':', ' ', '}']).next().unwrap_or_default().len();
    parts.map(|part| &part.trim()[..name(part)]).collect()
}

/// What a crate's root exports from which of its modules: names, or `*` for everything in a module.
fn exported(root: &Path) -> BTreeMap<String, String> {
    let mut items = parse(root).1.items;
    items.retain(|item| is_public(visibility(item)));
    imports(&items).into_iter().map(|mut import| (import.name, import.path.remove(0))).collect()
}

fn is_used(text: &str, name: &str) -> bool {
    after(text, &format!("{name}::")).next().is_some() || text.contains(&format!("use {name};"))
}

/// What the modules of the crates actually use.
fn done() -> Rooms {
    let mut rooms = Rooms::new();
    for (number, (name, folder)) in CRATES.iter().enumerate() {
        let folder = project_file(folder);
        let root = source(&folder.join("lib.rs"));
        let exported = exported(&folder.join("lib.rs"));
        let modules: BTreeSet<_> = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
            .filter(|module| !["lib", "main", "bin"].contains(&module.as_str()))
            .collect();
        for module in &modules {
            let mut paths = Vec::new();
            let path = folder.join(module);
            let path = if path.is_dir() { path } else { path.with_extension("rs") };
            files(&path, 1, &mut paths);
            let mut used = BTreeSet::new();
            for (path, depth) in paths {
                let text = source(&path);
                let up = "super::".repeat(depth);
                for name in after(&text, "crate::").chain(after(&text, &up)) {
                    let rest = exported.get("*").filter(|_| !root.contains(name));
                    let module = modules.get(name).or(exported.get(name)).or(rest);
                    used.extend(module.cloned());
                }
                let earlier = CRATES[..number].iter().map(|(earlier, _)| (*earlier).to_owned());
                used.extend(earlier.filter(|name| is_used(&text, name)));
            }
            used.remove(module);
            rooms.insert(format!("{name}::{module}"), used);
        }
    }
    rooms
}

#[test]
fn the_table_of_rooms_is_true() {
    let (told, done) = (told(), done());
    let rooms: BTreeSet<_> = told.keys().chain(done.keys()).collect();
    let compare = |room: &&String| {
        let [told, done] = [&told, &done].map(|rooms| rooms.get(*room));
        let list =
            |used: Option<_>| used.map_or("no such module".into(), |used| format!("{used:?}"));
        (told != done)
            .then(|| format!("{room}\n  the table: {}\n  the code:  {}\n", list(told), list(done)))
    };
    let wrong: String = rooms.iter().filter_map(compare).collect();
    assert!(wrong.is_empty(), "docs/architecture.md is not what the code does:\n{wrong}");
}

#[test]
fn the_modules_of_a_crate_use_each_other_in_no_circle() {
    let beside = |(room, used): (String, BTreeSet<String>)| {
        let (name, _) = room.split_once("::").unwrap();
        let used = used.into_iter().map(|other| format!("{name}::{other}")).collect();
        (room, used)
    };
    let mut left: Rooms = done().into_iter().map(beside).collect();
    // A module that uses none of the remaining ones is not in a cycle.
    let mut before = usize::MAX;
    while left.len() < before {
        before = left.len();
        let rooms: BTreeSet<_> = left.keys().cloned().collect();
        left.retain(|_, used| !used.is_disjoint(&rooms));
    }
    let mut way: Vec<&String> = left.keys().take(1).collect();
    while let Some(next) =
        way.last().and_then(|room| left[*room].iter().find(|r| left.contains_key(*r)))
    {
        way.push(next);
        if way[..way.len() - 1].contains(&next) {
            break;
        }
    }
    assert!(way.is_empty(), "modules use each other in a circle: {way:?}");
}
