//! `stream-layered-image`: the arguments of nixpkgs' script, in every form that Python's argparse
//! accepts, and the commands of `nix-image` that take an image. So the program that Nix builds has
//! them too: `./result load` calls `stream-layered-image CONF load`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Command, CommandFactory as _, Parser};

use super::stream;
use crate::report::Mode;

/// clap's names for operands that take an image, in the commands where it comes first.
const IMAGES: [&str; 5] = ["conf", "confs", "inspected", "looked_at", "old"];

/// Write the image that a conf describes to standard output as a docker-archive
///
/// The program that Nix built, ./result, calls this one with its conf: write ./result instead of
/// stream-layered-image CONF.
#[derive(Debug, Parser)]
#[command(
    name = "stream-layered-image",
    version,
    infer_long_args = true,
    args_override_self = true,
    max_term_width = 100,
    override_usage = "stream-layered-image <CONF> [-t <REPO_TAG>]\n       \
                      stream-layered-image <CONF> <COMMAND> [ARGUMENTS]...",
    after_help = commands_help()
)]
struct Cli {
    /// The image's conf, a JSON file
    conf: PathBuf,
    /// Name and tag to use instead of the conf's
    #[arg(short = 't', long = "repo_tag", value_name = "REPO_TAG")]
    repo_tag: Option<String>,
}

/// Runs `stream-layered-image`. Usage errors exit with status 2.
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if let [_, conf, command, rest @ ..] = &*arguments
        && !is_option(conf)
        && !is_option(command)
    {
        check_command(command);
        let program = OsString::from("nix-image");
        return super::run([&program, command, conf].into_iter().chain(rest));
    }
    let Cli { conf, repo_tag } = Cli::parse_from(arguments);
    let (args, mode) = (stream::Args::drop_in(conf, repo_tag), Mode::default());
    let result = super::unless_closed(args.run(mode));
    super::exit(result.map(|()| ExitCode::SUCCESS), mode)
}

fn is_option(argument: &OsString) -> bool {
    argument.as_encoded_bytes().starts_with(b"-")
}

/// Exits with an error unless this is the name of a command that takes an image.
fn check_command(name: &OsString) {
    let commands = commands();
    if commands.iter().any(|command| command.get_name() == name) {
        return;
    }
    let usage = Cli::command().render_usage().to_string();
    Command::new("stream-layered-image")
        .override_usage(usage.replacen("Usage: ", "", 1))
        .disable_help_subcommand(true)
        .subcommands(commands)
        .get_matches_from([&OsString::new(), name]);
}

/// The commands of `nix-image` that take an image.
fn commands() -> Vec<Command> {
    let takes_image = |command: &Command| {
        let mut operands = command.get_positionals();
        operands.next().is_some_and(|first| IMAGES.contains(&first.get_id().as_str()))
    };
    super::command().get_subcommands().filter(|command| takes_image(command)).cloned().collect()
}

fn commands_help() -> String {
    let line = |command: &Command| {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        format!("  {:8} {about}\n", command.get_name())
    };
    let lines: String = commands().iter().map(line).collect();
    format!(
        "Commands of nix-image:\n{lines}\nSee `stream-layered-image CONF COMMAND --help` for \
         details."
    )
}
