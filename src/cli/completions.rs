//! `nix-image completions`.

use std::io::Write as _;

use anyhow::Context as _;
use clap_complete::Shell;

use super::global::NoJson;
use super::stdout;

/// Print shell completions for this program
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Prints the script to standard output.

Examples:
  # Complete in the current bash
  source <(nix-image completions bash)

  # Complete in zsh, from the next session on
  nix-image completions zsh > ~/.zfunc/_nix-image

  # Complete in fish
  nix-image completions fish > ~/.config/fish/completions/nix-image.fish")]
pub(super) struct Args {
    /// The shell
    shell: Shell,
    #[command(flatten)]
    no_json: NoJson,
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<()> {
        self.no_json.check("script")?;
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut super::command(), "nix-image", &mut script);
        stdout::lock()?.write_all(&script).context("writing to standard output")
    }
}
