//! A transcript: commands, and below each what it did.
//!
//! ```text
//! # A remark.
//! $ kafka-console-producer --bootstrap-server localhost:9092 --topic t
//! < a line of standard input
//! = 1
//!   a line of standard output
//! ! a line of standard error
//! ```
//!
//! `=` is the exit code, left out when it is 0. Spaces and tabs at the end of a line do not count.

use std::fmt::Write as _;

/// One command and what it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    /// The empty lines and remarks before it, as they are in the file.
    pub(super) remarks: String,
    pub(super) command: String,
    /// Lines of standard input, or of the file that is written.
    pub(super) input: String,
    pub(super) output: Output,
}

/// What a command did, with what differs from run to run already taken out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Output {
    pub(super) code: i32,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

/// The steps of a transcript, or the line that is none of its kinds.
pub(super) fn parse(text: &str) -> Result<Vec<Step>, String> {
    let mut steps: Vec<Step> = Vec::new();
    let mut remarks = String::new();
    for line in text.lines() {
        if line.is_empty() || line.starts_with('#') {
            remarks.push_str(line);
            remarks.push('\n');
            continue;
        }
        if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step {
                remarks: std::mem::take(&mut remarks),
                command: command.to_owned(),
                input: String::new(),
                output: Output::default(),
            });
            continue;
        }
        let misplaced = || format!("not a line of a transcript: {line:?}");
        let step = steps.last_mut().ok_or_else(misplaced)?;
        let (kind, rest) = line.split_at_checked(2).unwrap_or((line, ""));
        let lines = match kind.trim_end() {
            "" => &mut step.output.stdout,
            "!" => &mut step.output.stderr,
            "<" => &mut step.input,
            "=" => {
                step.output.code = rest.parse().map_err(|_| misplaced())?;
                continue;
            }
            _ => return Err(misplaced()),
        };
        lines.push_str(rest);
        lines.push('\n');
    }
    Ok(steps)
}

/// The file's text; what [`parse`] reads back.
pub(super) fn write(steps: &[Step]) -> String {
    let mut text = String::new();
    for step in steps {
        let _ = writeln!(text, "{}$ {}", step.remarks, step.command);
        prefixed(&mut text, "< ", &step.input);
        text.push_str(&write_output(&step.output));
    }
    text
}

fn write_output(output: &Output) -> String {
    let mut text = String::new();
    if output.code != 0 {
        let _ = writeln!(text, "= {}", output.code);
    }
    prefixed(&mut text, "  ", &output.stdout);
    prefixed(&mut text, "! ", &output.stderr);
    text
}

/// The first command that did something else than it should, and the first line that tells.
pub(super) fn first_difference(got: &[Step], want: &[Step]) -> Option<String> {
    let mut both = got.iter().zip(want);
    let (got, want) = both.find(|(got, want)| got.output != want.output)?;
    let (said, should) = (write_output(&got.output), write_output(&want.output));
    let lines = said.lines().count().max(should.lines().count());
    let (mut said, mut should) = (said.lines(), should.lines());
    let (said, should) = (0..lines)
        .map(|_| (said.next(), should.next()))
        .find(|(said, should)| said != should)?;
    Some(format!("{}: got {said:?}, want {should:?}", want.command))
}

fn prefixed(text: &mut String, prefix: &str, lines: &str) {
    for line in lines.lines() {
        text.push_str(prefix);
        text.push_str(line);
        text.push('\n');
    }
}

/// A command's words: split at spaces, except within single quotes.
pub(super) fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (at, part) in command.split('\'').enumerate() {
        let quoted = at % 2 == 1;
        if quoted {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "# A remark.\n$ tool --a 'b c'\n< in\n= 1\n  out\n  \n    indented\n! err\n\n$ other\n";

    #[test]
    fn a_transcript_is_written_as_it_was_read() {
        let steps = parse(TEXT).unwrap();
        assert_eq!(steps.len(), 2);
        assert_eq!(steps[0].input, "in\n");
        assert_eq!(
            steps[0].output,
            Output {
                code: 1,
                stdout: "out\n\n  indented\n".into(),
                stderr: "err\n".into()
            }
        );
        assert_eq!(write(&steps), TEXT);
    }

    #[test]
    fn the_first_line_that_differs_is_shown() {
        let (want, mut got) = (parse(TEXT).unwrap(), parse(TEXT).unwrap());
        assert_eq!(first_difference(&got, &want), None);
        got[0].output.stdout = "out\n".into();
        let difference = first_difference(&got, &want).unwrap();
        let shown = r#"tool --a 'b c': got Some("! err"), want Some("  ")"#;
        assert_eq!(difference, shown);
    }

    #[test]
    fn a_line_of_no_kind_is_named() {
        let error = parse("$ tool\nout\n").unwrap_err();
        assert_eq!(error, "not a line of a transcript: \"out\"");
    }

    #[test]
    fn quoted_words_keep_their_spaces() {
        assert_eq!(words("tool --a 'b c' d"), ["tool", "--a", "b c", "d"]);
    }
}
