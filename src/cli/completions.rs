//! `nix-image completions`.

use std::io::Write as _;

use anyhow::Context as _;
use clap::Command;
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
        let script = script(self.shell);
        stdout::lock()?.write_all(script.as_bytes()).context("writing to standard output")
    }
}

/// The name that bash's script is generated for. With a hyphen in it, clap's generator gives the
/// functions of subcommands two different names, and nothing after a subcommand is completed.
const BASH_NAME: &str = "nix_image";

fn script(shell: Shell) -> String {
    let name = if shell == Shell::Bash { BASH_NAME } else { super::NAME };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut shown(&super::command()), name, &mut script);
    let script = String::from_utf8_lossy(&script);
    if shell == Shell::Bash {
        // All other places are names of functions and of their states.
        return script.replace(&format!(" {BASH_NAME}\n"), &format!(" {}\n", super::NAME));
    }
    script.into_owned()
}

/// The command without anything hidden, which shells would offer.
fn shown(command: &Command) -> Command {
    let below = command.get_subcommands().filter(|below| !below.is_hide_set());
    Command::new(command.get_name().to_owned())
        .version(env!("CARGO_PKG_VERSION"))
        .disable_version_flag(command.get_version().is_none())
        .about(command.get_about().cloned().unwrap_or_default())
        .args(command.get_arguments().filter(|argument| !argument.is_hide_set()))
        .subcommands(below.map(shown))
}
