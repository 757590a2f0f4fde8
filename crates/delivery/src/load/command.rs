//! Runs the engines' commands, all with time limits.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::time::Duration;

use rustix::fs::OFlags;
use rustix::process::{Pid, Signal, kill_process};

use super::LoadError;
use formats::peer_text;
use image::threads::ThreadError;

use crate::output::{self, Writer};

/// The maximum number of characters shown of a program's output.
pub(super) const MAX_COMPLAINT: usize = 2000;

/// Finds a program on PATH.
pub(super) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Fails if a program is not on PATH.
pub(super) fn require(program: &str) -> Result<(), LoadError> {
    let found = find(program).map(drop);
    found.ok_or_else(|| LoadError::NoProgram(program.to_owned()))
}

/// How long a program may run without progress.
pub(super) struct Patience<'a> {
    pub(super) limit: Duration,
    /// A number that changes as long as the program makes progress.
    pub(super) pulse: &'a dyn Fn() -> u64,
}

impl Patience<'_> {
    /// For a program whose progress cannot be observed.
    pub(super) fn of(limit: Duration) -> Self {
        Self { limit, pulse: &|| 0 }
    }
}

/// Runs a program and returns its output.
pub(super) fn run(
    program: &str,
    arguments: &[&str],
    patience: &Patience<'_>,
) -> Result<String, LoadError> {
    run_with(&[], program, arguments, patience)
}

/// Like `run`, with variables in the program's environment, which other users cannot read, unlike
/// its arguments.
pub(super) fn run_with(
    variables: &[(&str, &Path)],
    program: &str,
    arguments: &[&str],
    patience: &Patience<'_>,
) -> Result<String, LoadError> {
    let (running, _) =
        Running::start(program, arguments, variables, (Stdio::null(), Stdio::piped()))?;
    let output = running.wait(patience)?;
    running.check(&output)?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Runs a program that writes to a file, and may run as long as the file grows; with variables in
/// its environment.
pub(super) fn fill(
    program: &str,
    arguments: &[&str],
    variables: &[(&str, &Path)],
    limit: Duration,
    file: &File,
) -> Result<(), LoadError> {
    let start = |source| LoadError::Start { program: program.to_owned(), source };
    let stdout = file.try_clone().map_err(start)?.into();
    let (running, _) = Running::start(program, arguments, variables, (Stdio::null(), stdout))?;
    let size = || file.metadata().map_or(0, |metadata| metadata.len());
    let output = running.wait(&Patience { limit, pulse: &size })?;
    running.check(&output)
}

/// Runs a program whose input `write` writes, with variables in its environment.
pub(super) fn feed<T>(
    program: &str,
    arguments: &[&str],
    variables: &[(&str, &Path)],
    limit: Duration,
    write: impl FnOnce(&mut dyn Writer) -> Result<T, LoadError>,
) -> Result<T, LoadError> {
    let (running, stdin) =
        Running::start(program, arguments, variables, (Stdio::piped(), Stdio::piped()))?;
    let stdin = stdin.ok_or_else(|| io::Error::other("the program has no standard input"));
    let stdin = stdin.and_then(without_blocking).map_err(|source| {
        running.kill();
        LoadError::Start { program: program.to_owned(), source }
    })?;
    let output = output::Output::new(stdin.into()).map(|output| output.with_patience(limit));
    let written = output.map_err(LoadError::from).and_then(|mut output| write(&mut output));
    match written {
        // The program must not take incomplete input for complete.
        Err(error) if !error.is_closed() => {
            running.kill();
            Err(if error.has_timed_out() { running.stalled(limit) } else { error })
        }
        // If it stopped reading, its own error message says why.
        written => {
            running.check(&running.wait(&Patience::of(limit))?)?;
            written
        }
    }
}

/// Makes a pipe non-blocking, so that writes have a limit too; the program has the other end.
fn without_blocking(stdin: ChildStdin) -> io::Result<ChildStdin> {
    rustix::fs::fcntl_setfl(&stdin, rustix::fs::fcntl_getfl(&stdin)? | OFlags::NONBLOCK)?;
    Ok(stdin)
}

/// A program that was started.
struct Running {
    line: String,
    id: Pid,
    ended: Receiver<io::Result<Output>>,
}

impl Running {
    fn start(
        program: &str,
        arguments: &[&str],
        variables: &[(&str, &Path)],
        (stdin, stdout): (Stdio, Stdio),
    ) -> Result<(Self, Option<ChildStdin>), LoadError> {
        require(program)?;
        let mut child: Child = Command::new(program)
            .args(arguments)
            .envs(variables.iter().copied())
            .stdin(stdin)
            .stdout(stdout)
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|source| LoadError::Start { program: program.to_owned(), source })?;
        let (stdin, id) = (child.stdin.take(), Pid::from_child(&child));
        let (sender, ended) = mpsc::channel();
        // Never joined: processes that a killed program started may keep its outputs open forever.
        let wait = move || sender.send(child.wait_with_output());
        if let Err(error) = std::thread::Builder::new().spawn(wait) {
            let _ = kill_process(id, Signal::KILL);
            return Err(ThreadError::from(error).into());
        }
        Ok((Self { line: format!("{program} {}", arguments.join(" ")), id, ended }, stdin))
    }

    /// Waits for its end, as long as it makes progress.
    fn wait(&self, patience: &Patience<'_>) -> Result<Output, LoadError> {
        let mut pulse = (patience.pulse)();
        loop {
            if let Ok(ended) = self.ended.recv_timeout(patience.limit) {
                let running = |source| LoadError::Run { line: self.line.clone(), source };
                return ended.map_err(running);
            }
            let before = std::mem::replace(&mut pulse, (patience.pulse)());
            if before == pulse {
                self.kill();
                return Err(self.stalled(patience.limit));
            }
        }
    }

    fn kill(&self) {
        // The ID of a program that has ended may have been reused.
        if let Err(TryRecvError::Empty) = self.ended.try_recv() {
            let _ = kill_process(self.id, Signal::KILL);
        }
    }

    fn stalled(&self, waited: Duration) -> LoadError {
        let what = format!("`{}` has made no progress", self.line);
        LoadError::Stalled { what, remedy: "check what its engine is waiting for", waited }
    }

    fn check(&self, output: &Output) -> Result<(), LoadError> {
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let said = peer_text::end(&said, MAX_COMPLAINT);
        Err(LoadError::Exit { line: self.line.clone(), status: output.status, said })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_programs_say_is_shown_plain_and_short() {
        let script =
            r"head -c 9000 /dev/zero | tr '\0' x; printf '\033[31mno\r\nerror: \342\200\256way'";
        let failing = format!("({script}) >&2; exit 1");
        let failed = run("sh", &["-c", &failing], &Patience::of(Duration::from_secs(60)));
        let error = failed.unwrap_err().to_string();
        assert!(error.ends_with("xxx[31mno  error: way"), "{error:?}");
        assert!(error.len() < MAX_COMPLAINT + 500);
    }
}
