//! `stream-layered-image`: the arguments of nixpkgs' script, in every form that Python's argparse
//! accepts, and the commands of `nix-image` that take an image. So the program that Nix builds has
//! them too: `./result load` calls `stream-layered-image CONF load`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ContextKind;
use clap::{Arg, ArgAction, Command, CommandFactory as _, Parser};

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
    max_term_width = MAX_WIDTH,
    override_usage = "stream-layered-image <CONF> [-t <REPO_TAG>]\n       \
                      stream-layered-image <CONF> <COMMAND> [ARGUMENTS]...",
    after_help = commands_help()
)]
struct Cli {
    /// The image's conf, a JSON file
    conf: PathBuf,
    /// Name and tag to use instead of the conf's
    #[arg(short = 't', long = "repo_tag", visible_alias = "tag", value_name = "REPO_TAG")]
    repo_tag: Option<String>,
}

/// The program that Nix built, as users call it.
const RESULT: &str = "./result";
/// The widest that help is printed, in columns.
const MAX_WIDTH: usize = 100;

/// Runs `stream-layered-image`. Usage errors exit with status 2.
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if let [_, conf, command, rest @ ..] = &*arguments
        && !is_option(conf)
        && !is_option(command)
    {
        check_command(command);
        let program = OsString::from(super::NAME);
        let given = [&program, command, conf].into_iter().chain(rest).cloned().collect();
        return super::run(program_with_conf(), given);
    }
    let Cli { conf, repo_tag } = Cli::try_parse_from(arguments).unwrap_or_else(|mut error| {
        // It would suggest that an option of a command can be passed after `--`.
        error.remove(ContextKind::Suggested);
        error.exit()
    });
    let (args, mode) = (stream::Args::drop_in(conf, repo_tag), Mode::default());
    let result = super::unless_closed(args.run(mode));
    super::exit(result.map(|()| ExitCode::SUCCESS), mode)
}

fn is_option(argument: &OsString) -> bool {
    argument.as_encoded_bytes().starts_with(b"-")
}

/// Exits with an error unless this is the name of a command that takes an image, and with the help
/// for `help`.
fn check_command(name: &OsString) {
    let commands = commands();
    if commands.iter().any(|command| command.get_name() == name) {
        return;
    }
    if name == "help" {
        Cli::parse_from(["stream-layered-image", "--help"]);
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
    let program = super::command();
    program.get_subcommands().filter(|command| image_of(command).is_some()).cloned().collect()
}

/// The first operand of a command, if it takes an image.
fn image_of(command: &Command) -> Option<&Arg> {
    let first = command.get_positionals().next();
    first.filter(|first| IMAGES.contains(&first.get_id().as_str()))
}

/// `nix-image` as it is called through the program that Nix built, which gives each command its
/// first image. Usage and examples leave that out.
fn program_with_conf() -> Command {
    super::command().bin_name(RESULT).mut_subcommands(|command| {
        let Some(image) = image_of(&command).cloned() else { return command };
        let name = command.get_name();
        let here = format!("{RESULT} {name}");
        let help = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
        let call = format!("{} {name} {RESULT}", super::NAME);
        // `./result-amd64` is another file.
        let help = ["\n", " "].iter().fold(help + "\n", |help, end| {
            help.replace(&format!("{call}{end}"), &format!("{here}{end}"))
        });
        let command = command.after_long_help(help.trim_end().to_owned());
        if is_list(&image) {
            return change(command, &image, |image| image.required(false));
        }
        // It stays required: clap would otherwise take the second operand for it.
        let usage = command.clone().bin_name(here).render_usage().to_string();
        let usage = usage.replacen("Usage: ", "", 1).replacen(&format!(" {image}"), "", 1);
        change(command, &image, |image| image.hide(true)).override_usage(usage)
    })
}

/// Changes one of a command's arguments in its place.
fn change(command: Command, argument: &Arg, change: impl Fn(Arg) -> Arg) -> Command {
    let is_meant = |other: &Arg| other.get_id() == argument.get_id();
    command.mut_args(|other| if is_meant(&other) { change(other) } else { other })
}

/// Whether an operand may be given several times.
fn is_list(operand: &Arg) -> bool {
    matches!(operand.get_action(), ArgAction::Append)
}

/// The commands, laid out by clap for this terminal, and examples.
fn commands_help() -> String {
    let list = Command::new("list")
        .max_term_width(MAX_WIDTH)
        .disable_help_subcommand(true)
        .help_template("{subcommands}")
        .subcommands(commands())
        .render_help();
    let list = list.to_string();
    format!(
        "\
Commands of nix-image:
{}

Without a command, the archive goes to standard output; `{RESULT} COMMAND --help` says what a \
command prints there.

Examples:
  # Load the image with docker's own command
  {RESULT} | docker load

  # Load it into an engine, sending only the layers that it lacks
  {RESULT} load

  # Push it
  {RESULT} push ghcr.io/me/app:1",
        list.trim_end()
    )
}
