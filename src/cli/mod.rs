//! The command line: one file for each command.

pub mod drop_in;

/// Runs the command that the program's arguments name.
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::FAILURE
}
