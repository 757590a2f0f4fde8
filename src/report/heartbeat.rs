//! A line every ten seconds, so that a log shows that the command is still working.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::activity::Activity;
use super::{layout, say};

const INTERVAL: Duration = Duration::from_secs(10);

/// Logs the current activity every ten seconds, until it is dropped.
#[derive(Debug)]
pub(super) struct Heartbeat {
    /// Dropping it ends the thread.
    alive: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Heartbeat {
    pub(super) fn start(activity: &Arc<Activity>) -> Self {
        Self::every(INTERVAL, activity, say::line)
    }

    fn every(
        interval: Duration,
        activity: &Arc<Activity>,
        say: impl Fn(&str) + Send + 'static,
    ) -> Self {
        let (alive, ended) = mpsc::channel();
        let activity = Arc::clone(activity);
        let beat = move || {
            while ended.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                if let Some(moment) = activity.moment() {
                    say(&layout::log_line(&moment));
                }
            }
        };
        // The command also works without the thread.
        let thread = thread::Builder::new().spawn(beat).ok();
        Self { alive: Some(alive), thread }
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        drop(self.alive.take());
        // Nothing may be logged after the outcome.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Style;
    use delivery::{Observer as _, Step};

    #[test]
    fn it_beats_until_it_is_dropped() {
        let activity = Arc::new(Activity::new(Style::WRITE));
        activity.step(Step::Reading, None);
        let (sender, said) = mpsc::channel();
        let say = move |line: &str| sender.send(line.to_owned()).unwrap_or_default();
        let heartbeat = Heartbeat::every(Duration::from_millis(1), &activity, say);
        for _ in 0..3 {
            let line = said.recv().expect("it goes on");
            assert!(line.starts_with("reading the image, "), "{line}");
        }
        drop(heartbeat);
        // This ends because the thread has ended.
        assert!(said.iter().all(|line| line.starts_with("reading the image, ")));
    }
}
