//! README.md's transcripts are what the program prints.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use regex::Regex;

use super::sandbox::Sandbox;

/// Commands in README.md that are not run here, and why.
const NOT_RUN: &[(&str, &str)] = &[
    ("nix-image load CONF -t app:1", "needs a container engine; see tests/load.rs"),
    ("nix-image push CONF registry.example.org/app:1", "needs the network; see tests/push"),
    (
        "nix-image push CONF-WITH-ONE-PATH-CHANGED registry.example.org/app:1",
        "needs the network; see tests/push",
    ),
];

/// A command in README.md and what it prints there.
struct Step<'a> {
    command: &'a str,
    printed: Vec<&'a str>,
}

/// The commands of blocks that begin with a prompt.
fn steps(readme: &str) -> Vec<Step<'_>> {
    let mut steps: Vec<Step<'_>> = Vec::new();
    let mut in_session = false;
    for line in readme.lines() {
        let Some(line) = line.strip_prefix("    ") else {
            in_session = false;
            continue;
        };
        if let Some(command) = line.strip_prefix("$ ") {
            in_session = true;
            steps.push(Step { command, printed: Vec::new() });
        } else if in_session {
            steps.last_mut().unwrap().printed.push(line);
        }
    }
    steps
}

/// A line without the figures that a larger image has, and others on another machine. What is
/// zero is so everywhere.
fn plain(line: &str) -> String {
    let size = Regex::new(r"\b[1-9][\d.]* (bytes|kB|MB|GB)").unwrap();
    let count = Regex::new(r"\b[1-9]\d* (of|layers)\b").unwrap();
    let port = Regex::new(r"127\.0\.0\.1:\d+").unwrap();
    let line = size.replace_all(line, "[SIZE]");
    let line = count.replace_all(&line, "[COUNT] $1");
    port.replace_all(&line, "[ADDRESS]").into_owned()
}

#[test]
fn the_readme_shows_what_is_printed() {
    let sandbox = Sandbox::new();
    let readme = include_str!("../../README.md");
    let mut run = 0;
    for step in steps(readme) {
        if NOT_RUN.iter().any(|(command, _)| *command == step.command) {
            continue;
        }
        let printed = printed(&sandbox, step.command, step.printed.len());
        let printed: Vec<_> = printed.iter().map(|line| plain(&sandbox.filtered(line))).collect();
        let expected = step.printed.iter().map(|line| plain(&sandbox.filtered(line)));
        assert_eq!(printed, expected.collect::<Vec<_>>(), "{}", step.command);
        run += 1;
    }
    assert!(run > 0, "README.md has no transcripts");
}

/// The lines that a command prints. One that serves is ended after those that are expected.
fn printed(sandbox: &Sandbox, command: &str, expected: usize) -> Vec<String> {
    let serves = command.starts_with("nix-image serve");
    let command = command.replace("127.0.0.1:5000", "127.0.0.1:0");
    let mut shell = sandbox.shell(&format!("exec 2>&1; exec {command}"));
    let mut child = shell.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let limit = if serves { expected } else { usize::MAX };
    let lines = lines.take(limit).map(|line| line.unwrap()).collect();
    if serves {
        child.kill().unwrap();
    }
    let status = child.wait().unwrap();
    assert!(serves || status.success(), "{command} ended with {status}");
    lines
}

#[test]
fn what_is_not_run_is_in_the_readme() {
    let readme = include_str!("../../README.md");
    for (command, reason) in NOT_RUN {
        let is_there = steps(readme).iter().any(|step| step.command == *command);
        assert!(is_there, "`{command}`, which {reason}, is not in README.md");
    }
}
