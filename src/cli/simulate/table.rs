//! The outcome of a simulation as a table.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Outcome, Strategy, beside, name_of, ratio};
use crate::report::Bytes;
use planner::simulate::Moved;

/// Sums for the means over several images.
#[derive(Default)]
struct Mean {
    images: u32,
    pushed: f64,
    unpacked: f64,
}

/// A table for each series, and one of means if several images have updates of the same kind.
pub(super) fn text(outcomes: &[Outcome<'_>]) -> String {
    let mut text = String::new();
    for (place, outcome) in outcomes.iter().enumerate() {
        if place == 0 || !std::ptr::eq(outcomes[place - 1].series.1, outcome.series.1) {
            head(&mut text, outcome);
        }
        row(&mut text, outcome, outcomes);
    }
    means(&mut text, outcomes);
    text
}

fn head(text: &mut String, outcome: &Outcome<'_>) {
    let (name, series) = outcome.series;
    let space = if series.kind.is_empty() { "" } else { " " };
    let blank = if text.is_empty() { "" } else { "\n" };
    let updates = outcome.updates.len();
    let plural = if updates == 1 { "" } else { "s" };
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "{blank}{name}{space}{}, {updates} update{plural}\n\
         {:10} {:>5} {:>6}  {:>9} {:>9} {:>9}  {:>13}  {:>13}\n\
         {:10} {:>5} {:>6}  {:>9} {:>9} {:>9}  {:>6} {:>6}  {:>6} {:>6}",
        series.kind,
        "",
        "",
        "",
        "",
        "",
        "",
        "to auto",
        "to paths",
        "strategy",
        "limit",
        "layers",
        "pushed",
        "pulled",
        "unpacked",
        "push",
        "unpack",
        "push",
        "unpack",
    );
}

fn row(text: &mut String, outcome: &Outcome<'_>, all: &[Outcome<'_>]) {
    let sum = outcome.sum();
    let limit = outcome.limit.map_or_else(|| "-".to_owned(), |limit| limit.to_string());
    let ratios = |other: Option<Moved>| match other {
        Some(other) => {
            (times(ratio(sum.pushed, other.pushed)), times(ratio(sum.unpacked, other.unpacked)))
        }
        None => (times(None), times(None)),
    };
    let (auto, paths) = (
        ratios(beside(all, outcome, Strategy::Auto)),
        ratios(beside(all, outcome, Strategy::Paths)),
    );
    let _ = writeln!(
        text,
        "{:10} {limit:>5} {:>6}  {:>9} {:>9} {:>9}  {:>6} {:>6}  {:>6} {:>6}",
        name_of(outcome.strategy),
        sum.layers,
        Bytes(sum.pushed).to_string(),
        Bytes(sum.pulled).to_string(),
        Bytes(sum.unpacked).to_string(),
        auto.0,
        auto.1,
        paths.0,
        paths.1,
    );
}

fn times(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.3}"))
}

/// The geometric means over the images, by kind of update, limit and layout.
fn means(text: &mut String, outcomes: &[Outcome<'_>]) {
    let mut means: BTreeMap<(&str, usize, usize), (Strategy, Mean)> = BTreeMap::new();
    for outcome in outcomes.iter().filter(|outcome| outcome.strategy != Strategy::Auto) {
        let Some(limit) = outcome.limit else { continue };
        let (sum, auto) = (outcome.sum(), beside(outcomes, outcome, Strategy::Auto));
        let Some(auto) = auto else { continue };
        let ratios = (ratio(sum.pushed, auto.pushed), ratio(sum.unpacked, auto.unpacked));
        let (Some(pushed), Some(unpacked)) = ratios else { continue };
        let key = (outcome.series.1.kind.as_str(), limit.get(), outcome.strategy as usize);
        let (_, mean) = means.entry(key).or_insert((outcome.strategy, Mean::default()));
        mean.images += 1;
        mean.pushed += pushed.ln();
        mean.unpacked += unpacked.ln();
    }
    means.retain(|_, (_, mean)| mean.images > 1);
    if means.is_empty() {
        return;
    }
    let _ = writeln!(
        text,
        "\nto auto, geometric mean over the images\n{:10} {:>5} {:10} {:>6} {:>6} {:>6}",
        "kind", "limit", "strategy", "images", "push", "unpack"
    );
    for ((kind, limit, _), (strategy, mean)) in means {
        let root = |logarithms: f64| times(Some((logarithms / f64::from(mean.images)).exp()));
        let _ = writeln!(
            text,
            "{kind:10} {limit:>5} {:10} {:>6} {:>6} {:>6}",
            name_of(strategy),
            mean.images,
            root(mean.pushed),
            root(mean.unpacked)
        );
    }
}
