//! `nix-image pages`: the help of all commands as files, for packages and the documentation.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

/// Write the help of each command to a file in a directory
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What to write
    format: Format,
    /// The directory, created if it does not exist
    directory: PathBuf,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    /// Manual pages, in section 1
    Man,
    /// Markdown
    Markdown,
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let mut program = super::command();
        program.build();
        let writing = |path: &Path| format!("writing `{}`", path.display());
        fs::create_dir_all(&self.directory).with_context(|| writing(&self.directory))?;
        for (words, command) in commands(&[], program) {
            let name = words.join("-");
            let (suffix, text) = match self.format {
                Format::Man => ("1", man(&name, command)?),
                Format::Markdown => ("md", markdown(&words.join(" "), command).into_bytes()),
            };
            let path = self.directory.join(format!("{name}.{suffix}"));
            fs::write(&path, text).with_context(|| writing(&path))?;
        }
        Ok(())
    }
}

/// A command and its subcommands, each with the words that invoke it. Hidden ones and `help` are
/// left out.
fn commands(above: &[String], command: Command) -> Vec<(Vec<String>, Command)> {
    let words = [above, &[command.get_name().to_owned()]].concat();
    let is_shown = |below: &&Command| !below.is_hide_set() && below.get_name() != "help";
    let below: Vec<_> = command.get_subcommands().filter(is_shown).cloned().collect();
    let below: Vec<_> = below.into_iter().flat_map(|below| commands(&words, below)).collect();
    [(words, command)].into_iter().chain(below).collect()
}

/// A manual page. Its synopsis is the usage of `--help`; what a command prints and the examples,
/// which `--help` has at its end, are sections of their own.
fn man(name: &str, command: Command) -> anyhow::Result<Vec<u8>> {
    // `help` has no page.
    let mut command = command.mut_subcommands(|below| match below.get_name() {
        "help" => below.hide(true),
        _ => below,
    });
    let usage = command.render_usage().to_string();
    let end = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
    let (output, examples) = end.split_once("\n\nExamples:\n").unwrap_or((&end, ""));
    // Its first paragraph is the name's.
    let long = command.get_long_about().map(ToString::to_string).unwrap_or_default();
    let description = long.split_once("\n\n").map_or("", |(_, description)| description);
    let section = |title: &str, text: &str| Section { title: title.into(), text: text.into() };
    let is_group = command.has_subcommands();
    let man =
        Man::new(command).title(name).source(concat!("nix-image ", env!("CARGO_PKG_VERSION")));
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    section("SYNOPSIS", usage.trim_start_matches("Usage: ")).render(&mut page)?;
    section("DESCRIPTION", description).render(&mut page)?;
    man.render_options_section(&mut page)?;
    if is_group {
        man.render_subcommands_section(&mut page)?;
    }
    section("OUTPUT", output).render(&mut page)?;
    section("EXAMPLES", examples).render(&mut page)?;
    Ok(page)
}

/// A section of a manual page.
struct Section {
    title: String,
    text: String,
}

impl Section {
    /// Writes the section, unless it is empty. Indented lines stay lines of their own.
    fn render(&self, page: &mut Vec<u8>) -> anyhow::Result<()> {
        if self.text.is_empty() {
            return Ok(());
        }
        let mut roff = Roff::new();
        roff.control("SH", [&*self.title]);
        for line in self.text.lines() {
            match line.strip_prefix("  ") {
                Some(line) => roff.control("nf", []).text([roman(line)]).control("fi", []),
                None if line.is_empty() => roff.control("PP", []),
                None => roff.text([roman(line)]),
            };
        }
        Ok(roff.to_writer(page)?)
    }
}

/// A title, and the output of `--help`.
fn markdown(title: &str, mut command: Command) -> String {
    let help = command.render_long_help().to_string();
    let lines: Vec<_> = help.lines().map(str::trim_end).collect();
    format!("# {title}\n\n```text\n{}\n```\n", lines.join("\n").trim_end())
}
