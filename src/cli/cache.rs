//! `nix-image cache`.

use std::io::{self, Write};
use std::time::Duration;

use anyhow::Context as _;

use super::stdout;
use crate::report::{BinaryBytes, HumanDuration};
use image::cache::{Cache, Limits, Removed};

/// Show or clear the cache of layer digests
#[derive(Debug, clap::Subcommand)]
#[command(after_long_help = "\
Standard output carries what is found or removed.

Examples:
  # See where the cache is, and how large
  nix-image cache info

  # Remove what was not used for a month
  nix-image cache gc --max-age 30")]
pub(super) enum Command {
    Info(Info),
    Gc(Gc),
    Clear(Clear),
}

/// Show where the cache is and what it holds
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Standard output carries the directory, the number of entries, their size, and when the one that is
unused for longest was used.

Examples:
  # See where the cache is, and how large
  nix-image cache info")]
pub(super) struct Info {}

/// Remove all that is remembered
///
/// Layers are hashed again when they are needed next. Nothing else in the directory is removed.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Standard output carries how much was removed, in one line.

Examples:
  # Forget all digests
  nix-image cache clear")]
pub(super) struct Clear {}

/// Remove entries that were not used for long
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Standard output carries how much was removed, in one line.

Examples:
  # Remove what was not used for 90 days, and keep 64 MiB at most
  nix-image cache gc

  # Keep a megabyte at most, of any age
  nix-image cache gc --max-age 36500 --max-size 1000000")]
pub(super) struct Gc {
    /// Days since an entry's last use that it may stay
    #[arg(long, value_name = "DAYS", default_value_t = 90)]
    max_age: u64,
    /// Bytes that all entries together may have; those unused for longest go first
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 20)]
    max_size: u64,
}

const DAY: u64 = 24 * 60 * 60;

impl Command {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let cache = Cache::of_user();
        let mut out = stdout::lock()?;
        let Some(directory) = cache.directory() else {
            writeln!(out, "no cache: neither XDG_CACHE_HOME nor HOME is set to an absolute path")?;
            return Ok(());
        };
        let reading = || format!("reading the cache `{}`", directory.display());
        match self {
            Self::Info(Info {}) => {
                let usage = cache.usage().with_context(reading)?;
                writeln!(out, "directory: {}", directory.display())?;
                writeln!(out, "entries: {}", usage.entries)?;
                writeln!(out, "size: {}", BinaryBytes(usage.bytes))?;
                if let Some(age) = usage.oldest.and_then(|oldest| oldest.elapsed().ok()) {
                    writeln!(out, "unused for longest: {}", HumanDuration(age))?;
                }
            }
            Self::Gc(gc) => {
                let max_age = Some(Duration::from_secs(gc.max_age.saturating_mul(DAY)));
                let limits = Limits { max_age, max_bytes: Some(gc.max_size) };
                let removed = cache.collect(limits).with_context(reading)?;
                write_removed(&mut out, removed)?;
            }
            Self::Clear(Clear {}) => write_removed(&mut out, cache.clear().with_context(reading)?)?,
        }
        Ok(())
    }
}

fn write_removed(out: &mut impl Write, removed: Removed) -> io::Result<()> {
    let Removed { entries, bytes } = removed;
    let noun = if entries == 1 { "entry" } else { "entries" };
    writeln!(out, "removed {entries} {noun}, {}", BinaryBytes(bytes))
}
