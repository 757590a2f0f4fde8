//! The command line: one file for each command.

mod cache;
pub mod drop_in;
mod hint;
mod image_args;
mod inspect;
#[cfg(feature = "load")]
mod load;
mod plan;
mod push;
#[cfg(feature = "serve")]
mod serve;
mod stdout;
mod stream;
mod summary;
mod write;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Builds container images from Nix store paths and delivers them
#[derive(Debug, Parser)]
#[command(name = "nix-image", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Stream(stream::Args),
    #[cfg(feature = "load")]
    Load(load::Args),
    Push(push::Args),
    Write(write::Args),
    #[cfg(feature = "serve")]
    Serve(serve::Args),
    Inspect(inspect::Args),
    Plan(plan::Args),
    #[command(subcommand)]
    Cache(cache::Command),
}

/// Runs the command that the program's arguments name. Wrong usage ends with status 2.
pub fn main() -> ExitCode {
    exit(match Cli::parse().command {
        Command::Stream(args) => unless_closed(args.run()),
        #[cfg(feature = "load")]
        Command::Load(args) => args.run(),
        Command::Write(args) => args.run(),
        Command::Push(args) => args.run(),
        #[cfg(feature = "serve")]
        Command::Serve(args) => args.run(),
        Command::Inspect(args) => unless_closed(args.run()),
        Command::Plan(args) => unless_closed(args.run()),
        Command::Cache(command) => command.run(),
    })
}

/// For commands that do nothing but write to standard output: that its reader went away is no
/// error. For the others, a closed connection is one.
fn unless_closed(result: anyhow::Result<()>) -> anyhow::Result<()> {
    result.or_else(|error| if delivery::is_closed(error.as_ref()) { Ok(()) } else { Err(error) })
}

/// The exit status that a command's result comes to. Errors are printed with all their causes on
/// one line, and with the option that helps.
fn exit(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let hint = hint::hint(&error).map_or(String::new(), |hint| format!("; {hint}"));
            let _ = writeln!(std::io::stderr(), "error: {error:#}{hint}");
            ExitCode::FAILURE
        }
    }
}
