//! A Python process that answers questions.

use serde_json::Value;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Reads a JSON value a line, writes `answer(value)` a line.
const LOOP: &str = "
import json, sys
for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))), flush=True)
";

/// The first `python3` of PATH, running a program of ours.
#[derive(Debug)]
pub(crate) struct Python {
    process: Child,
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Python {
    /// Starts a program that defines a function `answer`; nothing, and a word about it, where
    /// there is no Python.
    pub(crate) fn start(program: &str) -> Option<Self> {
        let spawned = Command::new("python3")
            .args(["-c", &format!("{program}\n{LOOP}")])
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut process) = spawned else {
            super::skip("there is no python3 on PATH");
            return None;
        };
        let questions = process.stdin.take();
        let answers = BufReader::new(process.stdout.take().unwrap());
        Some(Self { process, questions, answers })
    }

    /// What the program's `answer` returns for a value.
    pub(crate) fn ask(&mut self, question: &Value) -> Value {
        let questions = self.questions.as_mut().unwrap();
        writeln!(questions, "{question}").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        serde_json::from_str(&line).expect("Python failed; see its standard error")
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        // The end of its standard input ends the program.
        self.questions = None;
        let _ = self.process.wait();
    }
}
