//! What commands say on standard error: a bar on a terminal, otherwise lines.
//!
//! Each kind of report is an [`delivery::Observer`].

mod bytes;
#[cfg(feature = "push")]
mod push;
mod stream;

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

pub(crate) use bytes::Bytes;
#[cfg(feature = "push")]
pub(crate) use push::PushProgress;
pub(crate) use stream::Progress;

const STEADY: Duration = Duration::from_millis(100);

/// A bar of this look where standard error is a terminal.
fn bar(template: &str) -> Option<ProgressBar> {
    io::stderr().is_terminal().then(|| {
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
        let style =
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style.progress_chars("=> "));
        bar.enable_steady_tick(STEADY);
        bar
    })
}

/// Says that something is odd and yet no error.
fn warn(bar: Option<&ProgressBar>, warning: &str) {
    let line = format!("warning: {warning}");
    match bar {
        None => write_line(&line),
        Some(bar) => bar.suspend(|| write_line(&line)),
    }
}

/// Nobody need listen.
fn write_line(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
