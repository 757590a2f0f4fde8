//! The command line: one file for each command.

pub mod drop_in;
pub mod plan;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

#[derive(Parser)]
#[command(name = "nix-image", version, about)]
enum Command {
    Plan(plan::Args),
}

/// Runs the command that the program's arguments name.
pub fn main() -> ExitCode {
    let Command::Plan(args) = Command::parse();
    match args.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
