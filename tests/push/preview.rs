//! `push --dry-run` reports what a push would send, and changes nothing.

use std::process::Output;

use super::images::{Fixture, said};
use crate::support::registry::Registry;

/// A preview's lines on standard output, and its final message.
fn preview(image: &Fixture, arguments: &[&str]) -> (Vec<String>, String) {
    let (name, options) = arguments.split_first().unwrap();
    let mut push = image.push(name);
    let Output { status, stdout, stderr } = push.args(options).arg("--dry-run").output().unwrap();
    let said = String::from_utf8(stderr).unwrap();
    assert!(status.success(), "{said}");
    let lines = String::from_utf8(stdout).unwrap().lines().map(str::to_owned).collect();
    (lines, said)
}

#[test]
fn a_preview_says_what_a_push_sends_and_sends_nothing() {
    let registry = Registry::start();
    let mut image = Fixture::new(4, true);
    let [name, other] = ["me/app:1", "you/app:1"].map(|name| registry.name(name));
    let (lines, text) = preview(&image, &[&name]);
    assert_eq!(lines.len(), 5, "{text}");
    let start = registry.name("me/app sha256:");
    assert!(lines.iter().all(|line| line.starts_with(&start)), "{lines:?}");
    assert!(text.contains(&format!("would push {name}: 5 of 5 layers, ")), "{text}");
    let pushed = said(&mut image.push(&name));
    assert!(pushed.contains("5 of 5 layers"), "{pushed}");

    image.change(2);
    let before = registry.requests().len();
    for (arguments, count) in [
        (&[&*name][..], 1),
        // Layers of another repository would be mounted, even for the first of two.
        (&[&*other][..], 1),
        (&[&*other, "--no-cache"][..], 5),
        (&[&*other, "--cache-from", &name][..], 1),
        (&[&*name, &*other][..], 1),
    ] {
        let (lines, text) = preview(&image, arguments);
        assert_eq!(lines.len(), count, "{arguments:?}: {text}");
        assert!(text.contains(&format!("{count} of 5 layers, ")), "{arguments:?}: {text}");
    }
    let requests = registry.requests();
    let changing = requests[before..].iter().find(|it| it.method != "GET" && it.method != "HEAD");
    assert!(changing.is_none(), "{changing:?}");
    let pushed = said(&mut image.push(&name));
    assert!(pushed.contains("1 of 5 layers"), "{pushed}");
}
