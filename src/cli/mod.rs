//! The command line: one file for each command.

mod build_image;
mod cache;
mod completions;
mod conf;
mod diff;
pub mod drop_in;
mod elsewhere;
mod existing;
mod explain;
mod export;
mod global;
mod hint;
mod image_args;
mod inspect;
mod layers;
#[cfg(feature = "load")]
mod load;
#[cfg(feature = "pull")]
mod lock;
#[cfg(feature = "push")]
mod login;
mod looked;
mod merge;
mod not_an_image;
mod pages;
mod plan;
#[cfg(feature = "pull")]
mod prefetch;
#[cfg(feature = "pull")]
mod pull;
#[cfg(feature = "push")]
mod push;
#[cfg(feature = "serve")]
mod serve;
mod simulate;
#[cfg(feature = "pull")]
mod source_args;
mod stdout;
#[cfg(all(feature = "load", target_os = "linux"))]
mod store;
mod stream;
mod tree;
mod why;
mod write;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::report::{self, Mode};
use global::Global;

/// The program's name.
const NAME: &str = "nix-image";

/// Builds container images from Nix store paths and delivers them
#[derive(Debug, Parser)]
#[command(
    name = NAME,
    version,
    max_term_width = 100,
    after_long_help = "\
Only data goes to standard output; messages go to standard error. CONF is the result of building a
streamLayeredImage (./result), or its conf.

Examples:
  # Load an image into docker, podman or containerd
  nix-image load ./result

  # Push it
  nix-image push ./result ghcr.io/me/app:1

  # Write it to a file, as nixpkgs does
  nix-image stream ./result > image.tar"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    global: Global,
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
    Merge(merge::Args),
    Export(export::Args),
    #[cfg(feature = "pull")]
    Pull(pull::Args),
    #[cfg(feature = "pull")]
    Prefetch(prefetch::Args),
    #[cfg(feature = "pull")]
    Lock(lock::Args),
    Inspect(inspect::Args),
    Diff(diff::Args),
    Why(why::Args),
    Tree(tree::Args),
    Plan(plan::Args),
    Simulate(simulate::Args),
    Layers(layers::Args),
    #[command(subcommand, hide = true)]
    BuildImage(build_image::Command),
    #[command(subcommand)]
    Cache(cache::Command),
    #[cfg(feature = "push")]
    Login(login::Args),
    #[cfg(feature = "push")]
    Logout(login::Logout),
    Completions(completions::Args),
    #[command(hide = true)]
    Pages(pages::Args),
}

/// The whole command line, as clap sees it.
fn command() -> clap::Command {
    Cli::command()
}

/// Runs the command that the program's arguments name. Usage errors exit with status 2.
pub fn main() -> ExitCode {
    run(command(), std::env::args_os().collect())
}

/// Runs the command that these arguments name. The first one is the program's name.
fn run(mut program: clap::Command, arguments: Vec<OsString>) -> ExitCode {
    global::apply_color(arguments.iter().cloned());
    let matches = program.try_get_matches_from_mut(arguments);
    let parsed = matches.and_then(|matches| Cli::from_arg_matches(&matches));
    let Cli { command, global } = parsed.unwrap_or_else(|error| error.format(&mut program).exit());
    let mode = global.mode();
    let result = global.check().and_then(|()| dispatch(command, mode));
    exit(result, mode)
}

fn dispatch(command: Command, mode: Mode) -> anyhow::Result<ExitCode> {
    let done: anyhow::Result<()> = match command {
        // These have exit statuses of their own.
        Command::Inspect(args) => return unless_closed(args.run(mode)),
        Command::Diff(args) => return unless_closed(args.run(mode)),
        Command::Stream(args) => unless_closed(args.run(mode)),
        #[cfg(feature = "load")]
        Command::Load(args) => args.run(mode),
        Command::Write(args) => unless_closed(args.run(mode)),
        #[cfg(feature = "push")]
        Command::Push(args) => args.run(mode),
        #[cfg(feature = "serve")]
        Command::Serve(args) => args.run(mode),
        #[cfg(all(feature = "load", target_os = "linux"))]
        Command::Store(command) => command.run(mode),
        Command::Merge(args) => unless_closed(args.run(mode)),
        Command::Export(args) => unless_closed(args.run(mode)),
        #[cfg(feature = "pull")]
        Command::Pull(args) => args.run(mode),
        #[cfg(feature = "pull")]
        Command::Prefetch(args) => args.run(mode),
        #[cfg(feature = "pull")]
        Command::Lock(args) => unless_closed(args.run()),
        Command::Why(args) => unless_closed(args.run(mode)),
        Command::Tree(args) => unless_closed(args.run(mode)),
        Command::Plan(args) => unless_closed(args.run(mode)),
        Command::Simulate(args) => unless_closed(args.run(mode)),
        Command::Layers(args) => unless_closed(args.run(mode)),
        Command::BuildImage(command) => command.run(),
        Command::Cache(command) => command.run(mode),
        #[cfg(feature = "push")]
        Command::Login(args) => args.run(mode),
        #[cfg(feature = "push")]
        Command::Logout(args) => args.run(mode),
        Command::Completions(args) => unless_closed(args.run()),
        Command::Pages(args) => args.run(),
    };
    done.map(|()| ExitCode::SUCCESS)
}

/// For commands that only write to standard output, where a reader that goes away is not an error.
/// For the others, a closed connection is one.
fn unless_closed<T: Default>(result: anyhow::Result<T>) -> anyhow::Result<T> {
    result.or_else(
        |error| {
            if delivery::is_closed(error.as_ref()) { Ok(T::default()) } else { Err(error) }
        },
    )
}

/// Turns a command's result into an exit status. An error is reported on one line with all its
/// causes, and its hint on another.
fn exit(result: anyhow::Result<ExitCode>, mode: Mode) -> ExitCode {
    result.unwrap_or_else(|error| {
        report::failed(mode, &hint::message(&error), hint::find(&error));
        ExitCode::FAILURE
    })
}

// The examples use commands of all features.
#[cfg(all(test, feature = "load", feature = "push"))]
mod tests {
    use super::*;

    /// All commands, each with the words that invoke it.
    fn commands(above: &str, command: &clap::Command) -> Vec<(String, clap::Command)> {
        let words = format!("{above} {}", command.get_name()).trim().to_owned();
        let below = command.get_subcommands().filter(|below| !below.is_hide_set());
        let below: Vec<_> = below.flat_map(|below| commands(&words, below)).collect();
        [(words, command.clone())].into_iter().chain(below).collect()
    }

    /// The invocations of this program in an example, which may be a pipeline.
    fn calls(line: &str) -> Vec<Vec<&str>> {
        let calls = line
            .split(['|', '(', ')'])
            .filter_map(|part| part.find("nix-image ").map(|at| &part[at..]));
        calls
            .map(|call| {
                call.split_whitespace().take_while(|word| !word.starts_with(['<', '>'])).collect()
            })
            .collect()
    }

    #[test]
    fn every_command_has_examples_that_parse() {
        for (words, command) in commands("", &Cli::command()) {
            let help = command.get_after_long_help().unwrap_or_default().to_string();
            assert!(help.contains("to standard output"), "`{words}` does not say what it prints");
            let (_, examples) = help.split_once("\n\nExamples:\n").unwrap_or_default();
            assert!(!examples.is_empty(), "`{words}` has no examples");
            for example in examples.split("\n\n") {
                let (comment, line) = example.split_once('\n').unwrap_or_default();
                assert!(comment.starts_with("  # ") && !line.contains('\n'), "{words}: {example}");
                let calls = calls(line);
                let is_own = |call: &Vec<&str>| call.join(" ").starts_with(&words);
                assert!(
                    calls.iter().any(is_own),
                    "an example of `{words}` invokes another command: {line}"
                );
                for call in calls {
                    if let Err(error) = Cli::try_parse_from(call) {
                        panic!("{line}\n{error}");
                    }
                }
            }
        }
    }
}
