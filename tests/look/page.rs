//! The HTML page, in a browser.

use super::Fixture;
use crate::support::{command, need, stdout_of};
use std::path::Path;

/// The page after its script has run, and what the script reported.
fn rendered(page: &Path) -> String {
    let profile = tempfile::tempdir().unwrap();
    let mut chromium = command(
        "chromium",
        &["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"],
    );
    chromium.args(["--virtual-time-budget=5000", "--dump-dom"]);
    chromium.arg(format!("--user-data-dir={}", profile.path().display()));
    chromium.env("HOME", profile.path());
    chromium.arg(format!("file://{}", page.display()));
    String::from_utf8(stdout_of(&mut chromium)).unwrap()
}

/// The rows of the table in a section.
fn rows(dom: &str, section: &str) -> usize {
    let (_, section) = dom.split_once(&format!("<section id=\"{section}\"")).unwrap();
    let (section, _) = section.split_once("</section>").unwrap();
    section.split_once("<tbody>").map_or(0, |(_, body)| body.matches("<tr").count())
}

/// The paths that the page suggests to remove, the most effective first.
fn savings(dom: &str) -> Vec<&str> {
    let (_, section) = dom.split_once("<section id=\"savings\"").unwrap();
    let (section, _) = section.split_once("</section>").unwrap();
    let (_, body) = section.split_once("<tbody>").unwrap();
    let names = body.split("<td class=\"name\">").skip(1).step_by(2);
    names.map(|name| name.split_once("</a>").unwrap().0.rsplit_once('>').unwrap().1).collect()
}

#[test]
fn its_tables_have_all_rows() {
    need("chromium");
    let fixture = Fixture::new();
    let page = fixture.store.root().join("page.html");
    let html = ["--html", page.to_str().unwrap()];
    assert_eq!(fixture.run("inspect", &fixture.conf, &html), b"");
    fixture.json("inspect", &html);
    let dom = rendered(&page);
    assert_eq!(rows(&dom, "layers"), 3);
    assert_eq!(rows(&dom, "paths"), 3);
    assert_eq!(rows(&dom, "duplicates"), 1);
    assert_eq!(savings(&dom), ["app-1.0", "lib-2.0", "libc-3.0"]);
    // The last things the script does: the tree, and handling a click on a box.
    assert!(dom.contains("<details><summary><a href=\"#path-"), "{dom}");
    assert!(dom.contains("<h1 id=\"name\">test:1</h1>"), "{dom}");
}

#[test]
fn a_history_and_changes_have_rows() {
    need("chromium");
    let fixture = Fixture::new();
    let conf = fixture.conf.to_str().unwrap();
    let page = fixture.store.root().join("page.html");
    let html = ["--html", page.to_str().unwrap()];
    fixture.run("inspect", &fixture.conf, &[&[conf, conf], &html[..]].concat());
    assert_eq!(rows(&rendered(&page), "history"), 3);
    let mut smaller: serde_json::Value =
        serde_json::from_slice(&std::fs::read(conf).unwrap()).unwrap();
    smaller["store_layers"].as_array_mut().unwrap().pop();
    let smaller = fixture.store.write_conf("smaller", &smaller);
    fixture.run("diff", &smaller, &[&[conf], &html[..]].concat());
    assert_eq!(rows(&rendered(&page), "changes"), 2);
}
