//! Compares text as Python writes it with a live Python: thousands of random values per run.
//!
//! Each run draws different values. A failure prints the value that caused it.

use crate::support::Python;
use formats::python::{json, number, repr, time::DateTime};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use std::process::Command;

const CASES: usize = 4000;

fn samples<S: Strategy>(strategy: &S, count: usize) -> Vec<S::Value> {
    let mut runner = TestRunner::default();
    (0..count).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}

#[test]
fn json_documents() {
    let program = "
import json
def answer(texts):
    return [json.dumps(json.loads(text), indent=4) for text in texts]
";
    let mut python = Python::start(program);
    let texts = samples(&json_text(), CASES);
    let answers = python.ask(&json!(texts));
    for (text, expected) in texts.iter().zip(answers.as_array().unwrap()) {
        let value = serde_json::from_str(text).expect(text);
        assert_eq!(json::dumps(&value), expected.as_str().unwrap(), "{text}");
    }
}

/// The source text of a JSON value.
pub(crate) fn json_text() -> impl Strategy<Value = String> {
    let integer = "-?(0|[1-9][0-9]{0,40})";
    let float = "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,25})?([eE][+-]?[0-9]{1,3})?";
    let bits = any::<u64>()
        .prop_map(f64::from_bits)
        .prop_filter("JSON has no infinity", |value| value.is_finite())
        .prop_map(|value| format!("{value:e}"));
    let powers_of_two =
        (0u64..2047).prop_map(|exponent| format!("{:e}", f64::from_bits(exponent << 52)));
    let around_notation =
        (-6i32..20, 1u64..1000).prop_map(|(exponent, digits)| format!("{digits}e{exponent}"));
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("false".to_owned()),
        integer,
        float,
        bits,
        powers_of_two,
        around_notation,
        text().prop_map(|text| quote(&text)),
    ];
    leaf.prop_recursive(4, 30, 6, |inner| {
        let key = prop_oneof![text(), "[ab]"].prop_map(|text| quote(&text));
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5)
                .prop_map(|items| format!("[{}]", items.join(", "))),
            prop::collection::vec((key, inner), 0..5).prop_map(|items| {
                let items: Vec<_> =
                    items.iter().map(|(key, item)| format!("{key}:{item}")).collect();
                format!("{{{}}}", items.join(" ,"))
            }),
        ]
    })
}

/// Control characters, quotes, and characters of every length.
pub(crate) fn text() -> impl Strategy<Value = String> {
    let char = prop_oneof![
        4 => prop::char::range(' ', '~'),
        2 => prop::char::range('\0', '\u{ff}'),
        1 => prop::sample::select(vec!['"', '\'', '\\', '/', '\u{7f}', '\u{2028}', '\u{feff}']),
        2 => any::<char>(),
    ];
    prop::collection::vec(char, 0..12).prop_map(String::from_iter)
}

fn quote(text: &str) -> String {
    Value::from(text).to_string()
}

#[test]
fn reprs_of_lists() {
    let program = "
import unicodedata
def answer(lists):
    if lists is None:
        return ''.join('?' if unicodedata.category(c) == 'Cn' else 'ny'[c.isprintable()]
                       for c in map(chr, range(0x110000)))
    return [repr(items) for items in lists]
";
    let mut python = Python::start(program);
    // Whether Python prints each character; a question mark for characters that it does not know
    // yet.
    let known = python.ask(&Value::Null);
    let known = known.as_str().unwrap().as_bytes();
    for char in ('\0'..=char::MAX).filter(|char| !['\\', '\''].contains(char)) {
        let printed = repr::list_of_str(&[String::from(char)]).contains(char);
        match known[char as usize] {
            b'y' => assert!(printed, "{char:?}"),
            b'n' => assert!(!printed, "{char:?}"),
            _ => {}
        }
    }

    let text = text().prop_map(move |text| {
        text.chars().filter(|&char| known[char as usize] != b'?').collect::<String>()
    });
    let lists = samples(&prop::collection::vec(text, 0..4), CASES);
    let answers = python.ask(&json!(lists));
    for (list, expected) in lists.iter().zip(answers.as_array().unwrap()) {
        assert_eq!(repr::list_of_str(list), expected.as_str().unwrap(), "{list:?}");
    }
}

#[test]
fn numbers() {
    let program = "
import unicodedata
def answer(texts):
    if texts is None:
        return {c: int(c) for c in map(chr, range(0x110000)) if unicodedata.category(c) == 'Nd'}
    return [[one(bounded, text), one(float, text)] for text in texts]
def bounded(text):
    return min(max(int(text), -2**127), 2**127 - 1)
def one(kind, text):
    try:
        return str(kind(text))
    except ValueError:
        return None
";
    let mut python = Python::start(program);
    let digits = python.ask(&Value::Null);
    for (digit, value) in digits.as_object().unwrap() {
        assert_eq!(number::int(digit), value.as_i64().map(i128::from), "{digit:?}");
    }

    let texts = samples(&number_text(), 2 * CASES);
    let answers = python.ask(&json!(texts));
    let mut taken = 0;
    for (text, expected) in texts.iter().zip(answers.as_array().unwrap()) {
        let int = number::int(text).map(|int| int.to_string());
        assert_eq!(int.as_deref(), expected[0].as_str(), "{text:?}");
        // Both forms are exact, so parsing Python's gives the same float.
        let expected = expected[1].as_str().map(|float| float.parse::<f64>().unwrap());
        let float = number::float(text);
        taken += usize::from(float.is_some());
        // As text, in which all NaNs are the same.
        assert_eq!(format!("{float:?}"), format!("{expected:?}"), "{text:?}");
    }
    assert!(taken > texts.len() / 5 && taken < texts.len() * 4 / 5, "{taken} numbers taken");
}

/// Numbers in all forms, some of them damaged.
fn number_text() -> impl Strategy<Value = String> {
    let digits = prop_oneof![8 => "[0-9]{1,9}(_[0-9]{1,6}){0,2}", 1 => "[0-9]{20,36}", 1 => "[٠-٩𝟎-𝟿０-９]{1,4}"];
    let fraction =
        prop_oneof![3 => Just(String::new()), 1 => Just(".".to_owned()), 2 => "\\.[0-9]{1,12}"];
    let exponent = prop_oneof![3 => Just(String::new()), 1 => "[eE][+-]?[0-9]{1,3}"];
    let plain = (digits, fraction, exponent)
        .prop_map(|(digits, fraction, exponent)| digits + &fraction + &exponent);
    let body = prop_oneof![12 => plain, 1 => "\\.[0-9]{1,3}", 1 => "(?i)(inf|infinity|nan)"];
    let space = prop_oneof![3 => Just(String::new()), 1 => "[ \t\n\x0b\x0c\r\x1c-\x1f\u{85}\u{a0}\u{2003}\u{3000}]{1,2}"];
    let whole = (space.clone(), "[+-]?", body, space)
        .prop_map(|(before, sign, body, after)| before + &sign + &body + &after);
    let damage = (any::<prop::sample::Index>(), 0..2, select_damage());
    (whole, prop::option::weighted(0.4, damage)).prop_map(|(text, damage)| match damage {
        Some((place, kind, char)) => spoil(&text, place.index(text.chars().count()), kind, char),
        None => text,
    })
}

fn select_damage() -> impl Strategy<Value = char> {
    prop::sample::select("0_._+-eEx ,\0\u{200b}\u{180e}²½".chars().collect::<Vec<_>>())
}

#[test]
fn dates() {
    let program = "
from datetime import datetime
def answer(texts):
    return [one(text) for text in texts]
def one(text):
    try:
        date = datetime.fromisoformat(text)
    except ValueError:
        return None
    try:
        return [date.isoformat(), int(date.timestamp())]
    except (ValueError, OverflowError):
        return [date.isoformat(), None]
";
    let mut python = Python::start(program);
    let texts = samples(&date_text(), 2 * CASES);
    let answers = python.ask(&json!(texts));
    let mut taken = 0;
    for (text, expected) in texts.iter().zip(answers.as_array().unwrap()) {
        let parsed = DateTime::fromisoformat(text).ok();
        taken += usize::from(parsed.is_some());
        let ours = parsed.as_ref().map(|date| json!([date.isoformat(), date.timestamp()]));
        let edge = expected[1].is_null() && (text.starts_with("0001") || text.starts_with("9999"));
        if let (true, Some(date)) = (edge, &parsed) {
            assert_eq!(expected[0], date.isoformat(), "{text:?}");
        } else {
            assert_eq!(ours.unwrap_or(Value::Null), *expected, "{text:?}");
        }
    }
    // Otherwise the random dates prove little.
    assert!(taken > texts.len() / 5 && taken < texts.len() * 4 / 5, "{taken} dates taken");
}

/// Dates in all forms, near the limits of what is allowed, some of them damaged.
pub(crate) fn date_text() -> impl Strategy<Value = String> {
    let year = prop_oneof![
        4 => 1i32..=9999,
        4 => 1900i32..2100,
        1 => prop::sample::select(vec![0, 1, 2, 9998, 9999]),
    ];
    let calendar = (year, 0..=13u32, 0..=32u32).prop_map(|(year, month, day)| {
        // Most of the days are valid.
        (year, if month % 13 == 0 { 2 } else { month }, if day == 0 { 28 } else { day })
    });
    let date = (calendar, 0..=54u32, 0..=8u32, 0..12).prop_map(
        |((year, month, day), week, weekday, form)| match form {
            0 => format!("{year:04}{month:02}{day:02}"),
            1 => format!("{year:04}-W{week:02}-{weekday}"),
            2 => format!("{year:04}W{week:02}{weekday}"),
            3 => format!("{year:04}-W{week:02}"),
            4 => format!("{year:04}W{week:02}"),
            _ => format!("{year:04}-{month:02}-{day:02}"),
        },
    );
    let separator = prop_oneof![
        6 => Just('T'),
        2 => Just(' '),
        1 => prop::sample::select(vec!['-', '0', '5', 'é', '日', '😀', '\0', '\u{85}', 'W']),
    ];
    let time = (separator, clock(24), offset())
        .prop_map(|(separator, clock, offset)| format!("{separator}{clock}{offset}"));
    let whole = (date, prop::option::weighted(0.9, time))
        .prop_map(|(date, time)| date + &time.unwrap_or_default());
    (whole, prop::option::weighted(0.3, (any::<prop::sample::Index>(), 0..3, damage()))).prop_map(
        |(text, damage)| match damage {
            None => text,
            Some((place, kind, char)) => {
                spoil(&text, place.index(text.chars().count()), kind, char)
            }
        },
    )
}

fn clock(hours: u32) -> impl Strategy<Value = String> {
    let fraction =
        prop_oneof![3 => Just(String::new()), 2 => "[.,][0-9]{1,9}", 1 => "[.,](9{1,8}|0{1,8})"];
    (0..=hours, 0..=60u32, 0..=60u32, fraction, 0..10).prop_map(
        |(hour, minute, second, fraction, form)| match form {
            0 => format!("{hour:02}"),
            1 => format!("{hour:02}:{minute:02}"),
            2 => format!("{hour:02}{minute:02}"),
            3 => format!("{hour:02}{minute:02}{second:02}{fraction}"),
            4 => format!("{hour:02}{fraction}"),
            5 => format!("{hour:02}:{minute:02}{fraction}"),
            _ => format!("{hour:02}:{minute:02}:{second:02}{fraction}"),
        },
    )
}

fn offset() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => Just(String::new()),
        2 => Just("Z".to_owned()),
        2 => prop::sample::select(vec!["+00:00", "-00:00", "+05:30", "-0330", "+23:59:59.999999", "-24:00", "+00:00:00.5"])
            .prop_map(str::to_owned),
        4 => ("[+-]", clock(25)).prop_map(|(sign, clock)| sign + &clock),
    ]
}

fn damage() -> impl Strategy<Value = char> {
    prop_oneof![
        prop::sample::select("0123456789+-:.,ZzTW \0".chars().collect::<Vec<_>>()),
        any::<char>(),
    ]
}

/// Replaces, inserts or removes a character.
fn spoil(text: &str, place: usize, kind: i32, char: char) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    match kind {
        0 => chars[place] = char,
        1 => chars.insert(place, char),
        _ => drop(chars.remove(place)),
    }
    chars.into_iter().collect()
}

/// Dates without an offset are local time: the same comparison in other time zones.
#[test]
fn dates_in_other_time_zones() {
    let zones = ["Asia/Kathmandu", "America/New_York", "Europe/Amsterdam", "<+14>-14", ":"];
    for zone in zones {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["python_formats::dates", "--exact"])
            .env("TZ", zone)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "TZ={zone}: {said}");
        assert!(said.contains("1 passed"), "TZ={zone}: {said}");
    }
}
