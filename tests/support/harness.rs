//! Runs the tests instead of the standard harness, which has to know before it starts which tests
//! are ignored. Ours find out while they run: they end with [`skip`] if the machine lacks something
//! they need. `NIX_IMAGE_TESTS=all`, which `make test` sets, turns this into a failure.

use clap::Parser;
use libtest_mimic::{Completion, Conclusion, Failed, Trial};
use rustix::process::Signal;
use std::os::unix::process::CommandExt as _;
use std::panic;
use std::process::Command;
use std::sync::OnceLock;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// Longer than any test takes on a slow machine.
const LIMIT: Duration = Duration::from_secs(10 * 60);

/// A function with `#[test]`.
#[derive(Debug)]
pub(crate) struct Test {
    pub(crate) module: &'static str,
    pub(crate) name: &'static str,
    pub(crate) run: fn(),
}

inventory::collect!(Test);

/// What `#[test]` adds to a function.
macro_rules! register {
    ($function:ident) => {
        inventory::submit! {
            crate::support::harness::Test {
                module: module_path!(),
                name: stringify!($function),
                run: $function,
            }
        }
    };
}
pub(crate) use register;

/// The panic payload of a skipped test.
struct Skipped(String);

/// Whether a test that cannot run counts as failed.
static ALL: OnceLock<bool> = OnceLock::new();

/// Ends a test that needs something missing but installable: a program, a file, or root's rights.
pub(crate) fn skip(reason: &str) -> ! {
    assert!(!ALL.get().unwrap(), "{reason}, but all tests have to run");
    cannot_run(reason)
}

/// Ends a test that cannot run on this machine, whatever is installed.
pub(crate) fn cannot_run(reason: &str) -> ! {
    // Does not call the hook that prints panics.
    panic::resume_unwind(Box::new(Skipped(reason.to_owned())))
}

/// The standard harness's arguments. Several filters are allowed.
#[derive(Debug, Parser)]
struct CommandLine {
    #[command(flatten)]
    known: libtest_mimic::Arguments,
    /// More filters: a test has to match one of them.
    #[arg(value_name = "FILTERS")]
    more: Vec<String>,
}

impl CommandLine {
    fn choose(&self, name: &str) -> bool {
        let mut filters = self.known.filter.iter().chain(&self.more).peekable();
        let matches = |filter: &String| {
            if self.known.exact { name == filter } else { name.contains(filter) }
        };
        filters.peek().is_none() || filters.any(matches)
    }
}

/// Runs the tests that the command line asks for.
pub(crate) fn run() -> Conclusion {
    default_signals();
    let mut arguments = CommandLine::parse();
    let all = std::env::var("NIX_IMAGE_TESTS").is_ok_and(|value| value == "all");
    ALL.set(all || arguments.known.include_ignored).unwrap();
    let mut tests: Vec<_> =
        inventory::iter::<Test>().map(|test| (test.full_name(), test)).collect();
    tests.retain(|(name, _)| arguments.choose(name));
    tests.sort_by(|a, b| a.0.cmp(&b.0));
    arguments.known.filter = None;
    let trial = |(name, test): (String, &'static Test)| {
        Trial::ignorable_test(name.clone(), move || test.run(name))
    };
    libtest_mimic::run(&arguments.known, tests.into_iter().map(trial).collect())
}

/// Starts this program again if it ignores signals that tests send, as under `nohup`: the programs
/// that they start would ignore them too.
fn default_signals() {
    let sent = [Signal::HUP, Signal::INT, Signal::TERM];
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    if sent.iter().any(|signal| ignored >> (signal.as_raw() - 1) & 1 == 1) {
        let mut again = Command::new("env");
        again.arg("--default-signal").arg(std::env::current_exe().unwrap());
        let error = again.args(std::env::args_os().skip(1)).exec();
        panic!("cannot start again without ignored signals: {error}");
    }
}

impl Test {
    /// The name without the crate's.
    fn full_name(&self) -> String {
        let module = self.module.split_once("::").map_or("", |(_, module)| module);
        format!("{module}::{}", self.name)
    }

    /// Runs in a thread named after the test, as panics print the thread's name.
    fn run(&self, name: String) -> Result<Completion, Failed> {
        let run = self.run;
        let (running, ended) = mpsc::channel::<()>();
        let run = move || {
            let _dropped_at_the_end = running;
            run();
        };
        let thread = thread::Builder::new().name(name).spawn(run).unwrap();
        if ended.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout) {
            // The thread ends with the process.
            return Err(format!("still running after {} minutes", LIMIT.as_secs() / 60).into());
        }
        match thread.join() {
            Ok(()) => Ok(Completion::Completed),
            Err(panic) => match panic.downcast::<Skipped>() {
                Ok(skipped) => Ok(Completion::ignored_with(skipped.0)),
                Err(panic) => panic::resume_unwind(panic),
            },
        }
    }
}
