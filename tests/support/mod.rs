//! Helpers for the integration tests.

pub(crate) mod archive;
pub(crate) mod docker_registry;
pub(crate) mod engines;
pub(crate) mod harness;
pub(crate) mod layout;
pub(crate) mod peak_memory;
pub(crate) mod private_root;
mod python;
pub(crate) mod registry;
pub(crate) mod sources;
mod store;
pub(crate) mod terminal;
pub(crate) mod tree;
pub(crate) mod volume;

pub(crate) use harness::{cannot_run, skip};
pub(crate) use python::{Python, python3};
pub(crate) use store::TempStore;

use sha2::{Digest as _, Sha256};
use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::{Command, Output};

/// The program.
pub(crate) const NIX_IMAGE: &str = env!("CARGO_BIN_EXE_nix-image");
/// The drop-in for nixpkgs' script.
pub(crate) const DROP_IN: &str = env!("CARGO_BIN_EXE_stream-layered-image");

/// A file of the project's `tests/`.
pub(crate) fn test_file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

/// Whether files that we write belong to root.
pub(crate) fn is_root() -> bool {
    tempfile::tempfile().unwrap().metadata().unwrap().uid() == 0
}

/// Skips the test unless it runs as root.
pub(crate) fn need_root(what_for: &str) {
    if !is_root() {
        skip(&format!("only root can {what_for}"));
    }
}

/// Skips the test unless a program is on PATH.
pub(crate) fn need(program: &str) {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if !std::env::split_paths(&path).any(|folder| folder.join(program).is_file()) {
        skip(&format!("{program} is not on PATH"));
    }
}

pub(crate) fn sha256(data: &[u8]) -> String {
    Sha256::digest(data).iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

/// Runs a command; returns its standard output, or how it failed.
pub(crate) fn run(command: &mut Command) -> Result<Vec<u8>, String> {
    let Output { status, stdout, stderr } = command.output().unwrap();
    if status.success() {
        return Ok(stdout);
    }
    let said = String::from_utf8_lossy(&stderr);
    Err(format!("{command:?} ended with {status} and said:\n{said}"))
}

/// Runs a command that must succeed; returns its standard output.
pub(crate) fn stdout_of(command: &mut Command) -> Vec<u8> {
    run(command).unwrap_or_else(|failure| panic!("{failure}"))
}

/// Runs a command that must fail with status 1; returns its standard error, without the line that
/// announces what it was about to do.
pub(crate) fn failure_of(command: &mut Command) -> String {
    let Output { status, stderr, .. } = command.output().unwrap();
    let said = String::from_utf8_lossy(&stderr).into_owned();
    assert_eq!(status.code(), Some(1), "{command:?} ended with {status} and said:\n{said}");
    without_start(&said).to_owned()
}

/// A command's log, without the line that announces what it was about to do.
pub(crate) fn without_start(said: &str) -> &str {
    let starts = ["loading ", "pushing ", "pulling ", "writing ", "adding "];
    match said.split_once('\n') {
        Some((first, rest)) if starts.iter().any(|start| first.starts_with(start)) => rest,
        _ => said,
    }
}

/// A program with arguments that neither sees nor writes the user's files.
pub(crate) fn command<S: AsRef<OsStr>>(program: impl AsRef<OsStr>, args: &[S]) -> Command {
    let mut command = Command::new(program);
    command.args(args).env_remove("XDG_CACHE_HOME").env_remove("HOME");
    command
}
