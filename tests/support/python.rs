//! A Python process that answers questions.

use serde_json::Value;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;

/// Reads one JSON value per line, and writes `answer(value)` on one line.
const LOOP: &str = "
import json, sys
for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))), flush=True)
";

/// The interpreter behind the first `python3` on PATH, which may be a slow wrapper.
pub(crate) fn python3() -> &'static str {
    static FOUND: OnceLock<Option<String>> = OnceLock::new();
    let find = || {
        let print = ["-c", "import sys; print(sys.executable)"];
        let output = Command::new("python3").args(print).output().ok()?;
        Some(String::from_utf8(output.stdout).unwrap().trim().to_owned())
    };
    let found = FOUND.get_or_init(find).as_deref();
    found.unwrap_or_else(|| super::skip("python3 is not on PATH"))
}

/// A Python process that runs a program of ours.
#[derive(Debug)]
pub(crate) struct Python {
    process: Child,
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Python {
    /// Starts a program that defines a function `answer`.
    pub(crate) fn start(program: &str) -> Self {
        let mut process = Command::new(python3())
            .args(["-c", &format!("{program}\n{LOOP}")])
            .env("PYTHONDONTWRITEBYTECODE", "1")
            // Gives sets the same order each time.
            .env("PYTHONHASHSEED", "0")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let questions = process.stdin.take();
        let answers = BufReader::new(process.stdout.take().unwrap());
        Self { process, questions, answers }
    }

    /// Starts one that may import modules from `tests`: `reference`, the reference writer.
    pub(crate) fn start_with_reference(program: &str) -> Self {
        let directory = super::test_file("").display().to_string();
        Self::start(&format!("import sys; sys.path.insert(0, {directory:?})\n{program}"))
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
        // The program ends when its standard input does.
        self.questions = None;
        let _ = self.process.wait();
    }
}
