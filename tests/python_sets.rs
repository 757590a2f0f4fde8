//! Compares the order of sets with that of a live Python.

use crate::support::{Python, python3, skip};
use planner::cpython::{hash_frozenset, hash_str, set_order};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::process::Command;

/// The result of an expression in a Python whose sets are like those of nixpkgs' Python.
fn python(expression: &str, value: &Value) -> Value {
    let version = "import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))";
    if !Command::new(python3()).args(["-c", version]).status().unwrap().success() {
        skip("python3 is not of version 3.11 to 3.13");
    }
    let mut python = Python::start(&format!("def answer(value):\n    return {expression}"));
    python.ask(value)
}

/// Numbers that look random, but are the same in every run.
fn numbers() -> impl FnMut(usize) -> usize {
    let mut state: u64 = 1;
    move |below| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(state >> 33).unwrap() % below
    }
}

#[test]
fn strings_hash_as_in_python() {
    let texts = [
        "",
        "a",
        "seven b",
        "eight by",
        "nine byte",
        "/nix/store/7zwyqd6z1qv0wif6l1110qdv1fwzfnff-zlib-2.8",
        "café",
        "ÿ\u{80}",
        "Ā",
        "日本語",
        "a\u{ffff}",
        "🦀 and text",
        "\u{0}",
    ];
    let expected = python("[hash(text) % 2**64 for text in value]", &json!(texts));
    for (text, expected) in texts.iter().zip(expected.as_array().unwrap()) {
        assert_eq!(Some(hash_str(text)), expected.as_u64(), "hash of {text:?}");
    }
}

#[test]
fn sets_of_frozensets_order_as_in_python() {
    let mut number = numbers();
    let cases: Vec<Vec<Vec<String>>> = (0..300)
        .map(|count| {
            let mut set: Vec<Vec<String>> = (0..count)
                .map(|_| {
                    let mut element: Vec<String> =
                        (0..number(5)).map(|_| format!("path-{}", number(1000))).collect();
                    element.sort_unstable();
                    element.dedup();
                    element
                })
                .collect();
            let mut seen = HashSet::new();
            set.retain(|element| seen.insert(element.clone()));
            set
        })
        .collect();
    let program = "[[sorted(e) for e in set(map(frozenset, case))] for case in value]";
    let expected = python(program, &json!(cases));
    for (case, expected) in cases.iter().zip(expected.as_array().unwrap()) {
        let hashes: Vec<u64> =
            case.iter().map(|set| hash_frozenset(set.iter().map(|text| hash_str(text)))).collect();
        let ordered: Vec<_> = set_order(&hashes).into_iter().map(|i| &case[i]).collect();
        assert_eq!(&json!(ordered), expected, "a set of {}", case.len());
    }
}

#[test]
fn large_sets_grow_as_in_python() {
    // Above 50 000 elements, sets grow by a different rule.
    let texts: Vec<String> = (0..90_000).map(|n| format!("element {n}")).collect();
    let expected = python("list(set(value))", &json!(texts));
    let hashes: Vec<u64> = texts.iter().map(|text| hash_str(text)).collect();
    let ordered: Vec<_> = set_order(&hashes).into_iter().map(|i| &texts[i]).collect();
    assert!(json!(ordered) == expected, "the order of 90 000 strings differs");
}
