//! The options of all commands.

use std::ffi::OsString;

use anyhow::bail;
use clap::{ColorChoice, ValueEnum as _};

use super::stdout;
use crate::report::{Mode, Progress};

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
pub(super) struct Global {
    /// How to report progress on standard error
    #[arg(long, global = true, value_enum, value_name = "HOW", default_value_t)]
    progress: Progress,
    /// Print only warnings and errors, like `--progress none`
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Explain choices, such as why an image is sent rather than linked
    #[arg(short, long, global = true)]
    verbose: bool,
    /// Print the result on standard output as one JSON object
    #[arg(long, global = true)]
    json: bool,
    /// When to use colors
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = ColorChoice::Auto)]
    color: ColorChoice,
}

impl Global {
    /// What to report to the user.
    pub(super) fn mode(&self) -> Mode {
        let progress = if self.quiet { Progress::None } else { self.progress };
        Mode { progress, verbose: self.verbose, json: self.json }
    }

    /// Fails if results would be lost.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        if self.json { stdout::check() } else { Ok(()) }
    }
}

/// Hides `--json` in the help of a command that it cannot be used with.
#[derive(Debug, Default, clap::Args)]
pub(super) struct NoJson {
    /// Print the result on standard output as one JSON object
    #[arg(long, hide = true)]
    json: bool,
}

impl NoJson {
    /// Fails if `--json` was given. `output` is what the command prints.
    pub(super) fn check(&self, output: &str) -> anyhow::Result<()> {
        if self.json {
            bail!("`--json` prints to standard output, which is for the {output}");
        }
        Ok(())
    }
}

/// Applies `--color` before the arguments are parsed, so that what clap prints, such as help, is
/// coloured too. Invalid values are left for clap to reject.
pub(super) fn apply_color(arguments: impl Iterator<Item = OsString>) {
    let mut arguments = arguments.take_while(|argument| argument != "--");
    let mut choice = ColorChoice::Auto;
    while let Some(argument) = arguments.next() {
        let Some(rest) = argument.to_str().and_then(|text| text.strip_prefix("--color")) else {
            continue;
        };
        let value = match rest.strip_prefix('=') {
            Some(value) => Some(value.to_owned()),
            None if rest.is_empty() => arguments.next().and_then(|value| value.into_string().ok()),
            None => None,
        };
        let named = value.and_then(|value| ColorChoice::from_str(&value, false).ok());
        choice = named.unwrap_or(choice);
    }
    match choice {
        // The library assumes that CI logs support colors.
        ColorChoice::Auto if is_dumb() => anstream::ColorChoice::Never,
        ColorChoice::Auto => anstream::ColorChoice::Auto,
        ColorChoice::Always => anstream::ColorChoice::Always,
        ColorChoice::Never => anstream::ColorChoice::Never,
    }
    .write_global();
}

/// Whether the terminal supports only plain text, and colors are not forced.
fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
        && std::env::var_os("CLICOLOR_FORCE").is_none()
}
