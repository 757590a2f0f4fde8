//! The pages of `docs/commands`, one for each command, match the help; `docs/SUMMARY.md` lists
//! every page; and commands mentioned in sentences and tables exist.

use std::collections::BTreeMap;
use std::fs;

use regex::Regex;
use snapbox::{Assert, Data};

use super::documents::{pages, pages_of};
use super::sandbox::Sandbox;
use crate::support::sources::project_file;

/// The commands that a help text lists.
fn listed(help: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let lines = lines.take_while(|line| !line.is_empty());
    // Continuation lines are indented further.
    let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.map(|line| line.split_whitespace().next().unwrap().to_owned());
    names.filter(|name| name != "help").collect()
}

/// A page for a command, with sections for its subcommands.
fn page(sandbox: &Sandbox, command: &str) -> String {
    let help = sandbox.run(&format!("nix-image {command} --help"));
    let mut sections = vec![format!("# nix-image {command}\n\n{}", block(&help))];
    for part in listed(&help) {
        let help = sandbox.run(&format!("nix-image {command} {part} --help"));
        sections.push(format!("## nix-image {command} {part}\n\n{}", block(&help)));
    }
    sections.join("\n")
}

fn block(help: &str) -> String {
    let lines: Vec<_> = help.trim_end().lines().map(str::trim_end).collect();
    format!("```text\n{}\n```\n", lines.join("\n"))
}

#[test]
fn each_command_has_a_page() {
    let sandbox = Sandbox::new();
    let commands = listed(&sandbox.run("nix-image --help"));
    let pages: BTreeMap<_, _> =
        commands.iter().map(|command| (format!("{command}.md"), page(&sandbox, command))).collect();
    for (name, page) in &pages {
        let file = project_file("docs/commands").join(name);
        let expected = Data::read_from(&file, Some(snapbox::data::DataFormat::Text)).raw();
        Assert::new().action_env("SNAPSHOTS").eq(page.as_str(), expected);
    }
    assert_eq!(pages_of("docs/commands"), pages.into_keys().collect::<Vec<_>>());
}

#[test]
fn the_summary_has_every_page() {
    let summary = fs::read_to_string(project_file("docs/SUMMARY.md")).unwrap();
    let pages = pages_of("docs").into_iter().filter(|name| name != "SUMMARY.md");
    let commands = pages_of("docs/commands").into_iter().map(|name| format!("commands/{name}"));
    for page in pages.chain(commands) {
        assert!(summary.contains(&format!("({page})")), "docs/SUMMARY.md lacks {page}");
    }
}

/// Manual pages have the usage of `--help`, and name only pages that exist.
#[test]
fn manual_pages_are_whole() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.run("nix-image pages man man"), "");
    let names = sandbox.run("ls man");
    let reference = Regex::new(r"\bnix\\-image[a-z\\-]*\(1\)").unwrap();
    for name in names.lines() {
        let page = sandbox.run(&format!("cat man/{name}"));
        for found in reference.find_iter(&page) {
            let file = found.as_str().replace('\\', "").replace("(1)", ".1");
            assert!(names.lines().any(|name| name == file), "{name} names {file}");
        }
        let words = name.strip_suffix(".1").unwrap().replace("nix-image", "nix_image");
        let words = words.replace('-', " ").replace("nix_image", "nix-image");
        let help = sandbox.run(&format!("{words} --help"));
        let usage = help.lines().find_map(|line| line.strip_prefix("Usage: ")).unwrap();
        let synopsis = format!(".SH SYNOPSIS\n{}\n.", usage.replace('-', "\\-"));
        assert!(page.contains(&synopsis), "{name} lacks {synopsis}");
        for part in [".SH NAME\n", ".SH OUTPUT\n", ".SH EXAMPLES\n.nf\n# "] {
            assert!(page.contains(part), "{name} lacks {part}");
        }
        let about = help.lines().next().unwrap().replace('-', "\\-");
        assert!(!page.contains(&format!(".SH DESCRIPTION\n{about}")), "{name}");
    }
}

/// What is wrong with a command that the documents mention: its name, or one of its options.
fn unknown(helps: &BTreeMap<String, String>, command: &str) -> Option<String> {
    let words: Vec<_> = command.split_whitespace().collect();
    let Some(help) = helps.get(words[0]) else {
        return Some(format!("there is no command {}", words[0]));
    };
    let options = words.iter().filter(|word| word.starts_with('-') && word.len() > 1);
    let mut names = options.map(|option| option.split('=').next().unwrap());
    let name = names.find(|name| {
        let is_name = |word: &str| word.trim_matches([',', '[', ']']) == *name;
        !help.split_whitespace().any(is_name)
    });
    name.map(|name| format!("`{}` has no option {name}", words[0]))
}

#[test]
fn commands_in_sentences_and_tables_are_known() {
    let sandbox = Sandbox::new();
    let commands = listed(&sandbox.run("nix-image --help"));
    let helps = commands.into_iter().map(|name| (name.clone(), page(&sandbox, &name))).collect();
    assert!(unknown(&helps, "load ./result --engine podman -t app:1 --progress json").is_none());
    assert!(unknown(&helps, "load ./result --engines podman").is_some());
    assert!(unknown(&helps, "lod ./result").is_some());
    let mention = Regex::new(r"`nix-image ([a-z][^`|\\]*)").unwrap();
    for (page, text) in pages() {
        for found in mention.captures_iter(&text) {
            assert_eq!(unknown(&helps, &found[1]), None, "{page}: {}", &found[0]);
        }
    }
}
