//! The command line: one file for each command.

mod cache;
pub mod drop_in;
mod hint;
mod image_args;
mod inspect;
#[cfg(feature = "load")]
mod load;
mod plan;
#[cfg(feature = "push")]
mod push;
#[cfg(feature = "serve")]
mod serve;
mod stdout;
#[cfg(all(feature = "load", target_os = "linux"))]
mod store;
mod stream;
mod write;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::report::{self, Mode};

/// Builds container images from Nix store paths and delivers them
#[derive(Debug, Parser)]
#[command(name = "nix-image", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// How to report on standard error
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "HOW",
        default_value_t,
        help_heading = "Global options"
    )]
    progress: Mode,
}

#[derive(Debug, Subcommand)]
enum Command {
    Stream(stream::Args),
    #[cfg(feature = "load")]
    Load(load::Args),
    #[cfg(feature = "push")]
    Push(push::Args),
    Write(write::Args),
    #[cfg(feature = "serve")]
    Serve(serve::Args),
    #[cfg(all(feature = "load", target_os = "linux"))]
    #[command(subcommand)]
    Store(store::Command),
    Inspect(inspect::Args),
    Plan(plan::Args),
    #[command(subcommand)]
    Cache(cache::Command),
}

/// Runs the command that the program's arguments name. Wrong usage ends with status 2.
pub fn main() -> ExitCode {
    let Cli { command, progress: mode } = Cli::parse();
    let result = match command {
        Command::Stream(args) => unless_closed(args.run(mode)),
        #[cfg(feature = "load")]
        Command::Load(args) => args.run(mode),
        Command::Write(args) => args.run(mode),
        #[cfg(feature = "push")]
        Command::Push(args) => args.run(mode),
        #[cfg(feature = "serve")]
        Command::Serve(args) => args.run(mode),
        #[cfg(all(feature = "load", target_os = "linux"))]
        Command::Store(command) => command.run(mode),
        Command::Inspect(args) => unless_closed(args.run(mode)),
        Command::Plan(args) => unless_closed(args.run()),
        Command::Cache(command) => command.run(),
    };
    exit(result, mode)
}

/// For commands that do nothing but write to standard output: that its reader went away is no
/// error. For the others, a closed connection is one.
fn unless_closed(result: anyhow::Result<()>) -> anyhow::Result<()> {
    result.or_else(|error| if delivery::is_closed(error.as_ref()) { Ok(()) } else { Err(error) })
}

/// The exit status that a command's result comes to. Errors are reported with all their causes on
/// one line, and with the option that helps.
fn exit(result: anyhow::Result<()>, mode: Mode) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    report::failed(mode, &hint::with_hint(&error));
    ExitCode::FAILURE
}
