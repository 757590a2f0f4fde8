//! Nothing of how it goes, only what is odd.

use delivery::Observer;

use super::{Outcome, Report, write_line, write_note, write_warning};

/// Says what is odd, and perhaps how it ended.
#[derive(Debug)]
pub(super) struct Quiet {
    pub(super) says_outcome: bool,
    pub(super) verbose: bool,
}

impl Observer for Quiet {
    fn note(&self, note: &str) {
        if self.verbose {
            write_note(note);
        }
    }

    fn warn(&self, warning: &str) {
        write_warning(warning);
    }
}

impl Report for Quiet {
    fn conclude(&self, outcome: &dyn Outcome) {
        if self.says_outcome {
            write_line(&outcome.to_string());
        }
    }
}
