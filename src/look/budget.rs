//! Limits for an image, to be checked in CI.

use std::str::FromStr;

use contents::{Closure, Contents, names};

use super::{bytes, few, name_of};

/// Units for sizes, and their factors.
const UNITS: [(&str, f64); 7] = [
    ("B", 1.0),
    ("kB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
    ("KiB", 1024.0),
    ("MiB", 1_048_576.0),
    ("GiB", 1_073_741_824.0),
];

/// A number of bytes, written as `500MB` or `1.5 GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size(u64);

/// A percentage, written as `5%`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Percent(f64);

/// Limits for an image.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Limits (exit status 1 if the image exceeds one)")]
pub(crate) struct Budget {
    /// Maximum size of all layers together, uncompressed, such as 500MB or 1.5GiB
    #[arg(long, value_name = "SIZE")]
    max_size: Option<Size>,
    /// Maximum share of the image that equal and hidden files may take up, such as 5%
    #[arg(long, value_name = "PERCENT")]
    max_waste: Option<Percent>,
    /// A package that the image must not contain, such as gcc; add the name of an output other than
    /// the main one, as in gcc-lib. May be given several times
    #[arg(long, value_name = "NAME")]
    fail_if_contains: Vec<String>,
}

impl Budget {
    /// Whether checking it requires reading files, not only their sizes.
    pub(crate) fn needs_files(&self) -> bool {
        self.max_waste.is_some() || !self.fail_if_contains.is_empty()
    }

    /// A sentence for each limit that the image exceeds.
    pub(crate) fn exceeded(&self, contents: &Contents) -> Vec<String> {
        let size = contents.size();
        let mut exceeded = Vec::new();
        if let Some(Size(most)) = self.max_size.filter(|most| size > most.0) {
            exceeded.push(format!(
                "the image has {} ({size} bytes), but `--max-size` allows {} ({most} bytes)",
                bytes(size),
                bytes(most)
            ));
        }
        #[expect(clippy::cast_precision_loss, reason = "a share is shown with one digit")]
        let waste = contents.waste() as f64 / size.max(1) as f64 * 100.0;
        if let Some(Percent(most)) = self.max_waste.filter(|most| waste > most.0) {
            exceeded.push(format!(
                "{waste:.1}% of the image ({}) are equal or hidden files, but `--max-waste` \
                 allows {most}%",
                bytes(contents.waste())
            ));
        }
        let closure = Closure::of(contents);
        for unwanted in &self.fail_if_contains {
            for path in 0..contents.paths.len() {
                if !is_called(&contents.paths[path].path, unwanted) {
                    continue;
                }
                let users = closure.as_ref().map(|closure| closure.users(path));
                let users = users.filter(|users| !users.is_empty());
                let why = users.map_or(String::new(), |users| {
                    format!(", needed by {}", few(contents, users, 3))
                });
                let name = name_of(contents, path);
                exceeded.push(format!("the image contains `{unwanted}`: {name}{why}"));
            }
        }
        exceeded
    }
}

/// Whether `text` names this store path, by its full name or by its package and output.
fn is_called(path: &str, text: &str) -> bool {
    let (package, _) = names::package(path);
    match names::output(path) {
        _ if names::full_name(path) == text => true,
        None => package == text,
        Some(output) => {
            text.strip_suffix(output).and_then(|text| text.strip_suffix('-')) == Some(package)
        }
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let unit = UNITS.iter().find(|(name, _)| {
            unit.trim().is_empty() && *name == "B" || name.eq_ignore_ascii_case(unit.trim())
        });
        match (number.parse::<f64>(), unit) {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "saturates"
            )]
            (Ok(number), Some((_, factor))) => Ok(Self((number * factor) as u64)),
            _ => Err("expected a number and a unit, such as 500MB or 1.5GiB".to_owned()),
        }
    }
}

impl FromStr for Percent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
        let number = number.filter(|number| (0.0..=100.0).contains(number));
        number.map(Self).ok_or_else(|| "expected a share from 0% to 100%, such as 5%".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_numbers_with_units() {
        for (text, expected) in [
            ("500MB", Some(500_000_000)),
            ("1.5 GiB", Some(1_610_612_736)),
            ("10kb", Some(10_000)),
            ("7", Some(7)),
            ("7 B", Some(7)),
            ("MB", None),
            ("1.2.3MB", None),
            ("-1MB", None),
            ("5 bananas", None),
            ("", None),
        ] {
            assert_eq!(text.parse().ok(), expected.map(Size), "{text}");
        }
    }

    #[test]
    fn shares_are_percentages() {
        for (text, expected) in
            [("5%", Some(5.0)), ("0.5 %", Some(0.5)), ("5", None), ("101%", None), ("NaN%", None)]
        {
            assert_eq!(text.parse().ok(), expected.map(Percent), "{text}");
        }
    }

    #[test]
    fn a_package_is_not_its_other_outputs() {
        let path = |name: &str| format!("/nix/store/{}-{name}", "a".repeat(32));
        for (name, text, expected) in [
            ("gcc-14.2.0", "gcc", true),
            ("gcc-14.2.0-lib", "gcc", false),
            ("gcc-14.2.0-lib", "gcc-lib", true),
            ("gcc-14.2.0-lib", "gcc-14.2.0-lib", true),
            ("gcc-wrapper-14.2.0", "gcc", false),
            ("tool-1.0-beta", "tool", true),
            ("source", "source", true),
        ] {
            assert_eq!(is_called(&path(name), text), expected, "{name} {text}");
        }
    }
}
