//! Measures the peak memory of a command.

use super::Python;
use serde_json::json;
use std::process::Command;

/// The script for [`of`]. A separate process, as the memory of the process that starts a command
/// counts as the command's.
pub(crate) const SCRIPT: &str = "
import os, subprocess

def answer(question):
    process = subprocess.Popen(
        ['env', *question['words']], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    return {'status': status, 'kilobytes': usage.ru_maxrss}
";

/// Runs a command that must succeed, and returns its peak resident memory, in kB.
pub(crate) fn of(python: &mut Python, command: &Command) -> u64 {
    let text = |word: &std::ffi::OsStr| word.to_str().unwrap().to_owned();
    let (set, unset): (Vec<_>, Vec<_>) = command.get_envs().partition(|(_, value)| value.is_some());
    let unset = unset.into_iter().flat_map(|(name, _)| ["-u".to_owned(), text(name)]);
    let set = set.into_iter().filter_map(|(name, value)| Some((text(name), text(value?))));
    let set = set.map(|(name, value)| format!("{name}={value}"));
    let call = [command.get_program()].into_iter().chain(command.get_args()).map(text);
    let words: Vec<_> = unset.chain(set).chain(call).collect();
    let run = python.ask(&json!({"words": words}));
    assert_eq!(run["status"], 0, "{words:?} failed");
    run["kilobytes"].as_u64().unwrap()
}
