//! Formats the current activity as one line.

use std::time::Duration;

use anstyle::AnsiColor;

use super::activity::Moment;
use super::units::Seconds;

/// How long each frame of the spinner lasts.
const TURN: Duration = Duration::from_millis(100);
const SPINNER: [char; 4] = ['-', '\\', '|', '/'];
/// Characters inside a bar.
const SHORTEST_BAR: usize = 10;
const LONGEST_BAR: usize = 30;
/// The characters around a bar: a space and two brackets.
const BAR_EDGES: usize = 3;

/// The line for a log.
pub(super) fn log_line(moment: &Moment) -> String {
    // Lines come every ten seconds, or slightly less after an activity began.
    let elapsed = Seconds(moment.elapsed + Duration::from_millis(500)).to_string();
    let what = [&moment.what].into_iter().chain(&moment.facts).chain([&elapsed]);
    what.map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// The line for a terminal of this width: the activity, a bar or a spinner, and as many facts as
/// fit.
pub(super) fn bar_line(moment: &Moment, columns: usize, in_color: bool) -> String {
    // Many terminals wrap after the last column.
    let width = columns.saturating_sub(1);
    let paint = |text: String| {
        let style = AnsiColor::Cyan.on_default();
        if in_color { format!("{style}{text}{style:#}") } else { text }
    };
    let Some(share) = moment.share else {
        let turns = moment.elapsed.as_millis() / TURN.as_millis();
        let look = SPINNER[turns as usize % SPINNER.len()];
        let elapsed = Seconds(moment.elapsed).to_string();
        let facts = [&elapsed].into_iter().chain(&moment.facts);
        let (what, facts, _) = fit(&moment.what, facts, width.saturating_sub(2));
        return if width < 2 {
            String::new()
        } else {
            format!("{} {what}{facts}", paint(look.into()))
        };
    };
    // The first fact matters more than the bar, and the bar more than the others.
    let (_, _, room) = fit(&moment.what, moment.facts.iter().take(1), width);
    let has_bar = room >= SHORTEST_BAR + BAR_EDGES;
    let taken = if has_bar { SHORTEST_BAR + BAR_EDGES } else { 0 };
    let (what, facts, room) = fit(&moment.what, moment.facts.iter(), width - taken);
    if !has_bar {
        return format!("{what}{facts}");
    }
    // The length changes only in large steps, so that the bar stays still while the facts change.
    let length = (SHORTEST_BAR + room) / SHORTEST_BAR * SHORTEST_BAR;
    let bar = bar(share, length.min(LONGEST_BAR));
    format!("{what} [{}]{facts}", paint(bar))
}

/// Truncates `what` to this many characters and appends the facts that fit. Returns both, and the
/// number of characters left.
fn fit<'a>(
    what: &str,
    facts: impl Iterator<Item = &'a String>,
    width: usize,
) -> (String, String, usize) {
    let what: String = what.chars().take(width).collect();
    let mut room = width - what.chars().count();
    let mut text = String::new();
    for fact in facts {
        let separator = if text.is_empty() { " " } else { ", " };
        let length = separator.len() + fact.chars().count();
        if length > room {
            break;
        }
        room -= length;
        text += separator;
        text += fact;
    }
    (what, text, room)
}

/// Formats as `====>     `.
fn bar(share: f64, length: usize) -> String {
    #[expect(clippy::cast_precision_loss, clippy::cast_sign_loss, reason = "it is from 0 to 1")]
    let done = ((share * length as f64) as usize).min(length);
    let head = if done < length { ">" } else { "" };
    format!("{:length$}", "=".repeat(done) + head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn moment(what: &str, share: Option<f64>, facts: &[&str]) -> Moment {
        let facts = facts.iter().map(|fact| (*fact).to_owned()).collect();
        Moment { what: what.into(), share, facts, elapsed: Duration::from_secs(7) }
    }

    #[test]
    fn wide_terminals_show_more() {
        let moment =
            moment("linking layer 3 of 12", Some(0.5), &["3 MB of 6 MB", "1 MB/s", "3 s left"]);
        for (columns, expected) in [
            (1, ""),
            (12, "linking lay"),
            (30, "linking layer 3 of 12"),
            (40, "linking layer 3 of 12 3 MB of 6 MB"),
            (50, "linking layer 3 of 12 [=====>    ] 3 MB of 6 MB"),
            (80, "linking layer 3 of 12 [==========>         ] 3 MB of 6 MB, 1 MB/s, 3 s left"),
        ] {
            assert_eq!(bar_line(&moment, columns, false), expected, "{columns}");
        }
    }

    #[test]
    fn what_has_no_known_end_says_for_how_long() {
        let moment = moment("asking podman", None, &["3 MB"]);
        assert_eq!(bar_line(&moment, 80, false), "| asking podman 7 s, 3 MB");
        assert_eq!(log_line(&moment), "asking podman, 3 MB, 7 s");
        let moment = Moment { elapsed: Duration::from_millis(9990), ..moment };
        assert_eq!(log_line(&moment), "asking podman, 3 MB, 10 s");
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_the_terminal(
            what in "[a-z ]{0,60}",
            share in proptest::option::of(0.0..=1.0),
            facts in proptest::collection::vec("[a-z0-9 ]{1,30}", 0..5),
            columns in 0..200_usize,
        ) {
            let facts: Vec<_> = facts.iter().map(String::as_str).collect();
            let line = bar_line(&moment(&what, share, &facts), columns, false);
            prop_assert!(line.chars().count() < columns.max(1), "{line:?}");
        }
    }
}
