//! `nix-image pages`: the help of all commands as files, for packages and the documentation.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Command;

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

fn man(name: &str, command: Command) -> anyhow::Result<Vec<u8>> {
    let mut page = Vec::new();
    let source = concat!("nix-image ", env!("CARGO_PKG_VERSION"));
    clap_mangen::Man::new(command).title(name).source(source).render(&mut page)?;
    Ok(page)
}

/// A title, and the output of `--help`.
fn markdown(title: &str, mut command: Command) -> String {
    let help = command.render_long_help().to_string();
    let lines: Vec<_> = help.lines().map(str::trim_end).collect();
    format!("# {title}\n\n```text\n{}\n```\n", lines.join("\n").trim_end())
}
