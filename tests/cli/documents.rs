//! README.md and the pages of `docs` show what the program prints: their sessions, blocks of the
//! language `console`, are run.
//!
//! Words after the language say what a session needs: `podman`, `docker`, `registry`, or `not-run`
//! for what cannot be run here, which [`NOT_RUN`] lists. In the output, figures count only if they
//! are zero, and a line `…` stands for any number of lines.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::process::{Child, Stdio};

use regex::Regex;

use super::sandbox::Sandbox;
use crate::support::docker_registry::DockerRegistry;
use crate::support::engines::{self, Engine};
use crate::support::sources::project_file;
use crate::support::{command, stdout_of};

/// The sessions that are not run: the page, the first command, and the reason.
const NOT_RUN: &[(&str, &str, &str)] = &[
    (
        "docs/dockertools.md",
        "nix run .#web.load -- --engine podman",
        "needs nixpkgs; see tests/scripts/nixos-image.py",
    ),
    ("README.md", "nix profile install git+URL", "needs the network and nixpkgs"),
    (
        "docs/push.md",
        "nix-image push ./result registry.example.org/app:1 --platform-conf ./result-arm64",
        "its images are of one platform here; see tests/push",
    ),
    (
        "docs/write.md",
        "nix-image write ./result-amd64 ./layout --format oci -t app:1 --platform-conf ./result-arm64",
        "its images are of one platform here; see tests/write.rs",
    ),
];

/// The registry in the documents, which is replaced by a registry's address here.
const REGISTRY: &str = "registry.example.org";
/// The server in the documents.
const SERVER: &str = "127.0.0.1:5000";

/// A block of a page.
#[derive(Debug)]
struct Session {
    page: String,
    needs: Vec<String>,
    steps: Vec<Step>,
}

/// A command and its output.
#[derive(Debug)]
struct Step {
    command: String,
    printed: Vec<String>,
}

/// The names of a directory's pages, in order.
pub(super) fn pages_of(directory: &str) -> Vec<String> {
    let files = fs::read_dir(project_file(directory)).unwrap().map(|file| file.unwrap().path());
    let pages = files.filter(|file| file.extension().is_some_and(|suffix| suffix == "md"));
    let mut names: Vec<_> =
        pages.map(|page| page.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

/// The pages, each with its path below the project's directory.
pub(super) fn pages() -> Vec<(String, String)> {
    let mut names = vec!["README.md".to_owned(), "CONTRIBUTING.md".to_owned()];
    for directory in ["docs", "docs/commands"] {
        names.extend(pages_of(directory).iter().map(|name| format!("{directory}/{name}")));
    }
    let read = |name: String| {
        let text = fs::read_to_string(project_file(&name)).unwrap();
        (name, text)
    };
    names.into_iter().map(read).collect()
}

/// The sessions of a page.
fn sessions(page: &str, text: &str) -> Vec<Session> {
    let mut sessions: Vec<Session> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if let Some(language) = line.strip_prefix("```") {
            let mut words = language.split(' ').map(str::to_owned);
            inside = !inside && words.next().is_some_and(|language| language == "console");
            if inside {
                let needs = words.collect();
                sessions.push(Session { page: page.to_owned(), needs, steps: Vec::new() });
            }
        } else if inside {
            let steps = &mut sessions.last_mut().unwrap().steps;
            if let Some(command) = line.strip_prefix("$ ").or_else(|| line.strip_prefix("# ")) {
                steps.push(Step { command: command.to_owned(), printed: Vec::new() });
            } else {
                let step = steps.last_mut();
                let step = step.unwrap_or_else(|| panic!("{page}: no prompt before {line:?}"));
                step.printed.push(line.to_owned());
            }
        }
    }
    sessions
}

fn all_sessions() -> Vec<Session> {
    pages().iter().flat_map(|(page, text)| sessions(page, text)).collect()
}

/// What runs a session: a directory, possibly an engine, and replacements for names in the
/// documents.
struct Stage<'a> {
    sandbox: Sandbox,
    engine: Option<&'a Engine>,
    /// Names in the documents, and what they are here.
    names: Vec<(&'static str, String)>,
    servers: Vec<Child>,
}

impl<'a> Stage<'a> {
    fn new(engine: Option<&'a Engine>, registry: Option<&DockerRegistry>) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut names = vec![(SERVER, free.to_string())];
        names.extend(registry.map(|registry| (REGISTRY, registry.address.clone())));
        Self { sandbox: Sandbox::with_results(), engine, names, servers: Vec::new() }
    }

    /// Runs a session and compares the output.
    fn run(mut self, session: &Session) {
        for step in &session.steps {
            let printed = self.printed(step);
            let printed: Vec<_> = printed.iter().map(|line| self.plain(line)).collect();
            let expected: Vec<_> = step.printed.iter().map(|line| self.plain(line)).collect();
            assert!(
                matches(&expected, &printed),
                "{}: `{}` prints\n{}\nand not\n{}",
                session.page,
                step.command,
                printed.join("\n"),
                expected.join("\n"),
            );
        }
    }

    /// The lines that a command prints. A server runs until the session ends.
    fn printed(&mut self, step: &Step) -> Vec<String> {
        let mut command = step.command.clone();
        for (there, here) in &self.names {
            command = command.replace(there, here);
        }
        let serves = command.starts_with("nix-image serve");
        // Not on a terminal, so print what would remain there once the bar is gone.
        if let Some(arguments) = command.strip_prefix("nix-image ") {
            command = format!("nix-image --progress bar {arguments}");
        }
        let command = if serves { format!("exec {command}") } else { command };
        let mut shell = self.sandbox.shell(&format!("exec 2>&1; {command}"));
        if let Some(engine) = self.engine {
            shell = engine.reach(shell);
        }
        let mut child = shell.stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        if serves {
            let lines = output.lines().take(step.printed.len());
            let lines = lines.map(Result::unwrap).collect();
            self.servers.push(child);
            return lines;
        }
        let mut text = String::new();
        output.read_to_string(&mut text).unwrap();
        let status = child.wait().unwrap();
        assert!(status.success(), "`{command}` ended with {status} and printed:\n{text}");
        text.lines().map(str::to_owned).collect()
    }

    /// A line as in the documents, without figures, which depend on the image and the machine.
    /// Zeros are the same everywhere, so they are kept.
    fn plain(&self, line: &str) -> String {
        let mut line = self.sandbox.filtered(line);
        for (there, here) in &self.names {
            line = line.replace(here, there);
        }
        for (figure, name) in [
            (r"\b[1-9][\d.,]* (bytes|kB|MB|GB)", "[SIZE]"),
            (r"\b[1-9]\d* of [1-9]\d*\b", "[COUNT] of [COUNT]"),
            (r"\b0 of [1-9]\d*\b", "0 of [COUNT]"),
            (r"\b[1-9]\d* (layers|store paths|entries)\b", "[COUNT] $1"),
            (r"\b[0-9a-f]{64}\b|\b[0-9a-f]{6,}…", "[DIGEST]"),
            (r"\b[0-9a-f]{12}\b", "[ID]"),
            (r"\[DIGEST\] \d+$", "[DIGEST] [SIZE]"),
        ] {
            line = Regex::new(figure).unwrap().replace_all(&line, name).into_owned();
        }
        line.trim_end().to_owned()
    }
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        for server in &mut self.servers {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

/// Whether lines match the expected ones, where `…` stands for any lines.
fn matches(expected: &[String], printed: &[String]) -> bool {
    match expected.split_first() {
        None => printed.is_empty(),
        Some((any, rest)) if any == "…" => {
            (0..=printed.len()).any(|skipped| matches(rest, &printed[skipped..]))
        }
        Some((line, rest)) => printed.first() == Some(line) && matches(rest, &printed[1..]),
    }
}

/// Runs the sessions with exactly these needs.
fn run(needs: &[&str], engine: Option<&Engine>, registry: Option<&DockerRegistry>) {
    let sessions: Vec<_> = all_sessions().into_iter().filter(|it| it.needs == needs).collect();
    assert!(!sessions.is_empty(), "no page has a session that needs {needs:?}");
    for session in &sessions {
        Stage::new(engine, registry).run(session);
    }
}

#[test]
fn documents_show_what_is_printed() {
    run(&[], None, None);
}

#[test]
fn documents_show_what_is_printed_with_podman() {
    run(&["podman"], Some(&engines::podman()), None);
}

#[test]
fn documents_show_what_is_printed_with_docker() {
    run(&["docker"], Some(&engines::docker()), None);
}

#[test]
fn documents_show_what_is_printed_with_a_registry() {
    run(&["registry"], None, Some(&DockerRegistry::start()));
}

#[test]
fn documents_have_no_sessions_but_those_that_are_run_or_listed() {
    let known = ["", "podman", "docker", "registry", "not-run"];
    let mut not_run = BTreeSet::new();
    for session in all_sessions() {
        let needs = session.needs.join(" ");
        assert!(known.contains(&needs.as_str()), "{}: a session needs {needs:?}", session.page);
        if needs == "not-run" {
            not_run.insert((session.page, session.steps[0].command.clone()));
        }
    }
    let listed = NOT_RUN.iter().map(|(page, command, _)| ((*page).into(), (*command).into()));
    assert_eq!(not_run, listed.collect(), "what is not run, and what NOT_RUN lists");
}

#[test]
fn documents_show_commands_in_blocks_that_are_run() {
    for (page, text) in pages() {
        let prompt = |line: &&str| line.starts_with("    $ ") || line.starts_with("    # ");
        assert_eq!(text.lines().find(prompt), None, "{page}: a session that is not run");
    }
}

#[test]
fn the_picture_shows_the_figures_of_the_benchmarks() {
    let drawn = stdout_of(&mut command(project_file("scripts/draw-loads"), &[""; 0]));
    let picture = fs::read(project_file("docs/loads.svg")).unwrap();
    assert!(drawn == picture, "redraw it: scripts/draw-loads > docs/loads.svg");
}

#[test]
fn sessions_are_taken_apart() {
    let text = "```console podman\n$ a\nb\n# c\n```\n```sh\n$ d\n```\n```console\n$ e\n```\n";
    let found: Vec<_> = sessions("page", text)
        .into_iter()
        .map(|session| (session.needs.join(" "), session.steps.len()))
        .collect();
    assert_eq!(found, [("podman".to_owned(), 2), (String::new(), 1)]);
    let lines = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    assert!(matches(&lines("a … c"), &lines("a b b c")));
    assert!(matches(&lines("a …"), &lines("a")));
    assert!(!matches(&lines("a … c"), &lines("a b")));
    assert!(!matches(&lines("a"), &lines("a b")));
}
