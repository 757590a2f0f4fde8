//! A progress line on a terminal, redrawn in place.

use std::io::{self, IsTerminal as _};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use rustix::termios::tcgetwinsize;

use super::activity::Activity;
use super::{layout, say};

const STEADY: Duration = Duration::from_millis(100);
/// The assumed width of a terminal that does not report it.
const COLUMNS: u16 = 80;

/// Shows the current activity. Dropping it clears the line.
#[derive(Debug)]
pub(super) struct Bar(ProgressBar);

impl Bar {
    /// Starts a bar on standard error. `None` if that is not a terminal, or cannot move its cursor.
    pub(super) fn start(activity: &Arc<Activity>) -> Option<Self> {
        if !io::stderr().is_terminal() || !can_move_cursor() {
            return None;
        }
        let (activity, in_color) = (Arc::clone(activity), say::in_color());
        let line = move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
            if let Some(moment) = activity.moment() {
                let _ = out.write_str(&layout::bar_line(&moment, columns(), in_color));
            }
        };
        let style = ProgressStyle::with_template("{line}").ok()?.with_key("line", line);
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        bar.set_style(style);
        bar.enable_steady_tick(STEADY);
        Some(Self(bar))
    }

    /// Runs `then` while the bar is hidden.
    pub(super) fn pause<T>(&self, then: impl FnOnce() -> T) -> T {
        self.0.suspend(then)
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn can_move_cursor() -> bool {
    std::env::var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb")
}

/// The terminal's width, which may change at any time.
fn columns() -> usize {
    width_of(io::stderr())
}

/// The width of the terminal that standard output is; without limit if it is none.
pub(crate) fn stdout_columns() -> usize {
    if io::stdout().is_terminal() { width_of(io::stdout()) } else { usize::MAX }
}

fn width_of(terminal: impl AsFd) -> usize {
    let size = tcgetwinsize(terminal).map_or(COLUMNS, |size| size.ws_col);
    usize::from(if size == 0 { COLUMNS } else { size })
}
