//! `nix-image simulate`: what each layout would have transferred over a series of updates.

mod read;
mod table;

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::ValueEnum as _;
use serde_json::{Value, json};

use super::stdout;
use crate::report::{self, Mode, Style};
use planner::graph::{Closure, GraphError};
use planner::series::Series;
use planner::simulate::{self, Moved};
use planner::{Layers, auto, delta, ordered, own, popularity};

/// Compare what layouts push, pull and unpack over a series of updates
///
/// Sizes are those of Nix archives, before compression. The registry keeps all blobs; a machine has
/// the previous image, and nothing else.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Prints a table to standard output, or with --json a list with the figures of each update.

Examples:
  # Compare layouts over an update of an image
  nix-image simulate before.json after.json

  # Compare two layouts of 50 and 100 layers
  nix-image simulate series.json.zst --strategy auto,delta --limit 50,100")]
pub(super) struct Args {
    /// Series files, or one file per image, in order, as `nix path-info --recursive --json` prints
    /// them; any of them may be compressed with zstd
    #[arg(required = true, value_name = "SERIES")]
    files: Vec<PathBuf>,
    /// The layouts to compare
    #[arg(
        long,
        value_enum,
        value_name = "STRATEGY",
        value_delimiter = ',',
        default_value = "auto,ordered,delta"
    )]
    strategy: Vec<Strategy>,
    /// Maximum number of layers, one of which is for the image's own files
    #[arg(
        long,
        value_name = "N",
        value_delimiter = ',',
        default_value = "100",
        value_parser = at_least_two
    )]
    limit: Vec<NonZeroUsize>,
    /// A package that changes more often than all others, for ordered and delta: its name, with or
    /// without the version; may be given several times
    #[arg(long, value_name = "NAME")]
    own: Vec<String>,
    /// Use only the series of these kinds, from files that have several
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    kind: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Strategy {
    /// The largest paths get a layer each: nixpkgs' default
    Auto,
    /// The layers of auto, with those that seldom change at the bottom
    Ordered,
    /// The layers of the previous image where they still fit, and new ones for the rest
    Delta,
    /// The most referenced paths get a layer each
    Popularity,
    /// A layer for each path, whatever the limit: the least that can be pushed
    Paths,
}

/// What one layout transfers over one series.
struct Outcome<'a> {
    /// The file's name, and its updates.
    series: (&'a str, &'a Series),
    strategy: Strategy,
    /// `None` if the layout has no limit.
    limit: Option<NonZeroUsize>,
    updates: Vec<Moved>,
}

impl Outcome<'_> {
    fn sum(&self) -> Moved {
        let mut sum = Moved::default();
        self.updates.iter().for_each(|moved| sum.add(*moved));
        sum
    }
}

impl Args {
    pub(super) fn run(self, mode: Mode) -> anyhow::Result<()> {
        stdout::check()?;
        let series = read::all(&self.files)?;
        self.check_own(&series)?;
        let mut outcomes = Vec::new();
        let wanted = |series: &Series| self.kind.is_empty() || self.kind.contains(&series.kind);
        for (name, series) in series.iter().filter(|(_, series)| wanted(series)) {
            self.compare(name, series, &mut outcomes)
                .with_context(|| format!("simulating the updates of `{name}`"))?;
        }
        if outcomes.is_empty() {
            let kinds: BTreeSet<&str> = series.iter().map(|(_, s)| s.kind.as_str()).collect();
            let kinds: Vec<&str> = kinds.into_iter().collect();
            bail!(
                "no series is of the kind `{}`; the files have {}",
                self.kind.join(","),
                kinds.join(", ")
            );
        }
        let result: Value = outcomes.iter().map(|outcome| to_json(outcome, &outcomes)).collect();
        report::new(mode, Style::READ).answer(&table::text(&outcomes).trim_end(), &result)
    }

    /// Rejects a name that no image has, which must be misspelt.
    fn check_own(&self, series: &[(String, Series)]) -> anyhow::Result<()> {
        let images = || series.iter().flat_map(|(_, series)| &series.images);
        let is_there = |wanted: &&String| {
            images().any(|image| image.nodes.iter().any(|node| own::is_meant(&node.path, wanted)))
        };
        match self.own.iter().find(|wanted| !is_there(wanted)) {
            Some(missing) => Err(own::NotThere { wanted: missing.clone() }.into()),
            None => Ok(()),
        }
    }

    /// Adds what all layouts transfer over one series, including auto and a layer for each path, as
    /// the others are compared with these.
    fn compare<'a>(
        &self,
        name: &'a str,
        series: &'a Series,
        outcomes: &mut Vec<Outcome<'a>>,
    ) -> anyhow::Result<()> {
        let mut add = |strategy, limit: Option<NonZeroUsize>| -> anyhow::Result<()> {
            let updates = simulate::run(series, |closure, before| {
                let limit = limit.map_or(closure.paths.len(), |limit| limit.get() - 1);
                let limit = NonZeroUsize::new(limit).unwrap_or(NonZeroUsize::MIN);
                self.plan(strategy, closure, limit, before)
            })?;
            outcomes.push(Outcome { series: (name, series), strategy, limit, updates });
            Ok(())
        };
        for &limit in &self.limit {
            add(Strategy::Auto, Some(limit))?;
            let others = Strategy::value_variants().iter().filter(|strategy| {
                !matches!(strategy, Strategy::Auto | Strategy::Paths)
                    && self.strategy.contains(strategy)
            });
            for &strategy in others {
                add(strategy, Some(limit))?;
            }
        }
        add(Strategy::Paths, None)
    }

    fn plan(
        &self,
        strategy: Strategy,
        closure: &Closure,
        limit: NonZeroUsize,
        before: Option<&Layers>,
    ) -> Result<Layers, GraphError> {
        let none = BTreeSet::new();
        let own = || -> BTreeSet<usize> {
            let is_own =
                |&n: &usize| self.own.iter().any(|wanted| own::is_meant(&closure.paths[n], wanted));
            (0..closure.paths.len()).filter(is_own).collect()
        };
        match strategy {
            Strategy::Auto | Strategy::Paths => Ok(auto::layers(closure, limit, &none)),
            Strategy::Ordered => ordered::layers(closure, limit, &none, &own()),
            Strategy::Delta => {
                let first = Vec::new();
                delta::layers(closure, limit, &none, &own(), before.unwrap_or(&first))
            }
            Strategy::Popularity => popularity::layers(closure, limit, &none),
        }
    }
}

fn at_least_two(text: &str) -> Result<NonZeroUsize, String> {
    let limit = text.parse().ok().filter(|limit: &NonZeroUsize| limit.get() > 1);
    limit.ok_or_else(|| "expected a whole number of layers, at least 2".to_owned())
}

fn name_of(strategy: Strategy) -> String {
    strategy.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

/// The outcome over the same series to compare this one with.
fn beside<'a>(outcomes: &'a [Outcome<'a>], of: &Outcome<'_>, strategy: Strategy) -> Option<Moved> {
    let limit = if strategy == Strategy::Paths { None } else { of.limit };
    let is_beside = |other: &&Outcome<'_>| {
        std::ptr::eq(other.series.1, of.series.1)
            && other.strategy == strategy
            && other.limit == limit
    };
    outcomes.iter().find(is_beside).map(Outcome::sum)
}

fn to_json(outcome: &Outcome<'_>, all: &[Outcome<'_>]) -> Value {
    let figures = |moved: &Moved| {
        json!({
            "pushed": moved.pushed,
            "pulled": moved.pulled,
            "unpacked": moved.unpacked,
            "image": moved.image,
            "layers": moved.layers,
        })
    };
    let (name, series) = outcome.series;
    let sum = outcome.sum();
    let ratios = |other: Option<Moved>| {
        other.map(|other| {
            json!({
                "pushed": ratio(sum.pushed, other.pushed),
                "pulled": ratio(sum.pulled, other.pulled),
                "unpacked": ratio(sum.unpacked, other.unpacked),
            })
        })
    };
    let images = series.images.iter().skip(1);
    let updates = images.zip(&outcome.updates).map(|(image, moved)| {
        let mut update = figures(moved);
        update["label"] = json!(image.label);
        update
    });
    json!({
        "series": name,
        "kind": series.kind,
        "strategy": name_of(outcome.strategy),
        "limit": outcome.limit,
        "updates": updates.collect::<Vec<_>>(),
        "sum": figures(&sum),
        "toAuto": ratios(beside(all, outcome, Strategy::Auto)),
        "toPaths": ratios(beside(all, outcome, Strategy::Paths)),
    })
}

/// The ratio of `part` to `of`, if it is defined.
fn ratio(part: u64, of: u64) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    (of > 0).then(|| part as f64 / of as f64)
}
