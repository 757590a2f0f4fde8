//! Programs of the engines.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

use crate::sink::Output;

/// What is shown of a program's complaints.
const MAX_COMPLAINT: usize = 2000;

/// Where a program is on PATH.
pub(super) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Runs a program and returns what it prints.
pub(super) fn run(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("starting `{program}`"))?;
    check(program, arguments, output.status, &output.stderr)?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Runs a program that reads what `write` writes.
pub(super) fn feed(
    program: &str,
    arguments: &[&str],
    write: impl FnOnce(&mut Output) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting `{program}`"))?;
    let stdin = child.stdin.take().context("the program has no standard input")?;
    let written = Output::new(stdin.into()).and_then(|mut output| write(&mut output));
    if written.as_ref().is_err_and(|error| !crate::sink::is_closed(error)) {
        // What it has must not look like all that there is.
        let _ = child.kill();
    }
    let output = child.wait_with_output().with_context(|| format!("running `{program}`"))?;
    match written {
        // That it stopped reading is no reason, it says one itself.
        Err(error) if !crate::sink::is_closed(&error) => Err(error),
        written => {
            check(program, arguments, output.status, &output.stderr)?;
            written
        }
    }
}

fn check(
    program: &str,
    arguments: &[&str],
    status: std::process::ExitStatus,
    stderr: &[u8],
) -> anyhow::Result<()> {
    if status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(stderr);
    let said = said.trim();
    let start = said.len().saturating_sub(MAX_COMPLAINT);
    let said = said.get(start..).unwrap_or(said);
    bail!("`{program} {}` ended with {status} and said: {said}", arguments.join(" "))
}
