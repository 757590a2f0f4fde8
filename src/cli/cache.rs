//! `nix-image cache`.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;

use super::stdout;
use crate::report::{self, Bytes, Mode, Seconds, Style, count};
use image::cache::{Cache, Limits, Removed};

/// Show or clear the cache of layer digests
#[derive(Debug, clap::Subcommand)]
#[command(after_long_help = "\
Only `info` prints to standard output.

Examples:
  # Show where the cache is and how large
  nix-image cache info

  # Remove entries not used for a month
  nix-image cache gc --max-age 30")]
pub(super) enum Command {
    Info(Info),
    Gc(Gc),
    Clear(Clear),
}

/// Show where the cache is and what it holds
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Prints the directory, the number of entries, their size, and how long the oldest one has been
unused, all to standard output.

Examples:
  # Show where the cache is and how large
  nix-image cache info")]
pub(super) struct Info {}

/// Remove all remembered digests
///
/// Layers are hashed again the next time they are needed. Nothing else in the directory is removed.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Prints nothing to standard output.

Examples:
  # Forget all digests
  nix-image cache clear")]
pub(super) struct Clear {}

/// Remove entries that have not been used for a while
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Prints nothing to standard output.

Examples:
  # Remove entries not used for 90 days, and keep at most 64 MiB
  nix-image cache gc

  # Keep at most a megabyte, of any age
  nix-image cache gc --max-age 36500 --max-size 1000000")]
pub(super) struct Gc {
    /// Remove entries that have not been used for this many days
    #[arg(long, value_name = "DAYS", default_value_t = 90)]
    max_age: u64,
    /// Keep at most this many bytes; the least recently used entries are removed first
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 20)]
    max_size: u64,
}

const DAY: u64 = 24 * 60 * 60;
const NO_CACHE: &str = "no cache: neither XDG_CACHE_HOME nor HOME is set to an absolute path";

/// What a cache holds.
#[derive(Debug, Serialize)]
struct Usage {
    what: &'static str,
    #[serde(rename = "where")]
    directory: Option<String>,
    entries: u64,
    bytes: u64,
    /// How long ago the least recently used entry was used.
    unused_seconds: Option<u64>,
}

/// What was removed from a cache.
#[derive(Debug, Serialize)]
struct Collected {
    what: &'static str,
    #[serde(rename = "where")]
    directory: Option<String>,
    entries: u64,
    bytes: u64,
}

impl Collected {
    fn new(what: &'static str, directory: Option<String>, removed: Removed) -> Self {
        let Removed { entries, bytes } = removed;
        Self { what, directory, entries, bytes }
    }
}

impl Display for Usage {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let Some(directory) = &self.directory else { return formatter.write_str(NO_CACHE) };
        writeln!(formatter, "directory: {directory}")?;
        writeln!(formatter, "entries: {}", self.entries)?;
        write!(formatter, "size: {}", Bytes(self.bytes))?;
        if let Some(seconds) = self.unused_seconds {
            let age = Seconds(Duration::from_secs(seconds));
            write!(formatter, "\nleast recently used entry: {age} ago")?;
        }
        Ok(())
    }
}

impl Display for Collected {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let (entries, bytes) = (self.entries as usize, Bytes(self.bytes));
        let Some(directory) = &self.directory else { return formatter.write_str(NO_CACHE) };
        write!(formatter, "removed {}, {bytes}, from `{directory}`", count(entries, "entry"))
    }
}

impl Command {
    pub(super) fn run(self, mode: Mode) -> anyhow::Result<()> {
        stdout::check()?;
        let report = report::new(mode, Style::READ);
        let cache = Cache::of_user();
        let directory = cache.directory().map(|directory| directory.display().to_string());
        // Without a directory, nothing below can fail.
        let name = directory.clone().unwrap_or_default();
        let reading = || format!("reading the cache `{name}`");
        match self {
            Self::Info(Info {}) => {
                let usage = cache.usage().with_context(reading)?;
                let age = usage.oldest.and_then(|oldest| oldest.elapsed().ok());
                let usage = Usage {
                    what: "cache",
                    directory,
                    entries: usage.entries,
                    bytes: usage.bytes,
                    unused_seconds: age.map(|age| age.as_secs()),
                };
                report.answer(&usage, &usage)
            }
            Self::Gc(gc) => {
                let max_age = Some(Duration::from_secs(gc.max_age.saturating_mul(DAY)));
                let limits = Limits { max_age, max_bytes: Some(gc.max_size) };
                let removed = cache.collect(limits).with_context(reading)?;
                report.conclude(&Collected::new("cleaned", directory, removed))
            }
            Self::Clear(Clear {}) => {
                let removed = cache.clear().with_context(reading)?;
                report.conclude(&Collected::new("cleared", directory, removed))
            }
        }
    }
}
