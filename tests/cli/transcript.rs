//! Transcripts: Markdown whose blocks of the language `console` are shell sessions.

/// A line of a transcript.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// Prose, or the edge of a block.
    Text(&'a str),
    /// The text after the prompt.
    Command(&'a str),
    /// The output of a command.
    Output(&'a str),
}

/// A transcript, line by line.
pub(super) fn lines(transcript: &str) -> Vec<Line<'_>> {
    let mut in_session = false;
    let line = |line| match (in_session, line) {
        (_, "```console" | "```") => {
            in_session = line == "```console";
            Line::Text(line)
        }
        (false, _) => Line::Text(line),
        (true, _) => line.strip_prefix("$ ").map_or(Line::Output(line), Line::Command),
    };
    transcript.lines().map(line).collect()
}

#[test]
fn transcripts_are_taken_apart() {
    let transcript = "a\n```console\n$ b\nc\n```\n```\n$ d\n```\n";
    let expected = [
        Line::Text("a"),
        Line::Text("```console"),
        Line::Command("b"),
        Line::Output("c"),
        Line::Text("```"),
        Line::Text("```"),
        Line::Text("$ d"),
        Line::Text("```"),
    ];
    assert_eq!(lines(transcript), expected);
}
