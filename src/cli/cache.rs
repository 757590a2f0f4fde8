//! `nix-image cache`.

use std::io::Write as _;
use std::time::Duration;

use anyhow::Context as _;

use super::stdout;
use crate::report::{BinaryBytes, HumanDuration};
use image::cache::{Cache, Limits};

/// Show or clean the cache of layer digests
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Show where the cache is and what it holds
    Info,
    /// Remove entries that were not used for long
    Gc(Gc),
}

#[derive(Debug, clap::Args)]
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
            Self::Info => {
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
                writeln!(
                    out,
                    "removed {} entries, {}",
                    removed.entries,
                    BinaryBytes(removed.bytes)
                )?;
            }
        }
        Ok(())
    }
}
