//! `stream-layered-image`: the arguments of nixpkgs' script, in all forms that Python's argparse
//! takes them.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use super::stream;
use crate::report::Mode;

/// Write the image that a conf describes to standard output as a docker-archive
#[derive(Debug, Parser)]
#[command(name = "stream-layered-image", infer_long_args = true, args_override_self = true)]
struct Cli {
    /// The image's conf, a JSON file
    conf: PathBuf,
    /// Name and tag, instead of the conf's
    #[arg(short = 't', long = "repo_tag", value_name = "REPO_TAG")]
    repo_tag: Option<String>,
}

/// Runs `stream-layered-image`. Wrong usage ends with status 2.
pub fn main() -> ExitCode {
    let Cli { conf, repo_tag } = Cli::parse();
    let (args, mode) = (stream::Args::drop_in(conf, repo_tag), Mode::Auto);
    super::exit(super::unless_closed(args.run(mode)), mode)
}
