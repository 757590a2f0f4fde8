//! The program's output, word for word: transcripts of shell sessions, in the Markdown files of
//! this directory, in README.md and in `docs`.
//!
//! `SNAPSHOTS=overwrite cargo test --test integration -- cli::` writes the current output into the
//! files of this directory and into `docs/commands`; then `git diff` shows the changes.

mod completions;
mod documents;
mod pages;
mod sandbox;
mod terminal;
mod transcript;

use sandbox::Sandbox;
use snapbox::{Assert, Data};
use transcript::Line;

/// Runs a transcript's commands again, all in one new directory, and compares the output.
fn check(name: &str) {
    let sandbox = Sandbox::new();
    let file = crate::support::test_file("cli").join(name);
    let transcript = std::fs::read_to_string(&file).unwrap();
    let again = |line| match line {
        Line::Text(line) => format!("{line}\n"),
        Line::Command(command) => format!("$ {command}\n{}", sandbox.run(command)),
        Line::Output(_) => String::new(),
    };
    let again: String = transcript::lines(&transcript).into_iter().map(again).collect();
    let expected = Data::read_from(&file, Some(snapbox::data::DataFormat::Text)).raw();
    Assert::new().action_env("SNAPSHOTS").eq(again, expected);
}

#[test]
fn help_says_what_there_is() {
    check("help.md");
}

#[test]
fn wrong_usage_is_explained() {
    check("usage.md");
}

#[test]
fn errors_name_the_remedy() {
    check("errors.md");
}

#[test]
fn commands_print_what_they_found() {
    check("output.md");
}

#[test]
fn looks_at_images_are_tables_and_trees() {
    check("look.md");
}

#[test]
fn progress_is_reported_as_asked() {
    check("progress.md");
}
