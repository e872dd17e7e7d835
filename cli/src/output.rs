//! Writes results to standard output, and messages to standard error.
//!
//! Responsible for closed pipes: `ci-runners status | head -1` ends without an error. Nothing in this
//! crate uses `println!`, which panics on a closed pipe.

use std::io::{self, ErrorKind, IsTerminal, Write};

use shared::text::{is_deceptive, printable_lines};

use crate::terminal::{self, Colour, Look};

/// With which a sequence for the terminal begins.
const ESCAPE: char = '\x1b';

/// Why the output cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The reader has closed the pipe.
    #[error("write the output: its reader has closed the pipe")]
    Closed,
    /// Anything else, such as a full disk.
    #[error("write the output: {0}")]
    Failed(#[source] io::Error),
}

impl From<io::Error> for OutputError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Failed(error),
        }
    }
}

/// Writes `text` and a line break to standard output, and flushes it.
///
/// # Errors
/// When the pipe is closed, or the write fails.
pub fn print(text: &str) -> Result<(), OutputError> {
    write_line(&mut io::stdout().lock(), text)
}

/// Like [`print()`], and leaves the colours of [`Look::paint`] as they are, if `look` has colours.
///
/// # Errors
/// When the pipe is closed, or the write fails.
pub fn print_coloured(look: Look, text: &str) -> Result<(), OutputError> {
    let text = match look.has_colour {
        true => printable_but_colours(text),
        false => printable_lines(text).into_owned(),
    };
    write_raw(&mut io::stdout().lock(), &text)
}

/// Replaces what is on the terminal by the beginning of `text` that it has room for.
///
/// # Errors
/// When the write fails.
pub fn redraw(look: Look, text: &str) -> Result<(), OutputError> {
    let text = match look.has_colour {
        true => printable_but_colours(text),
        false => printable_lines(text).into_owned(),
    };
    let mut lines: Vec<&str> = text.lines().collect();
    let height = terminal::height();
    let more = format!(
        "and {} more lines",
        (lines.len() + 2).saturating_sub(height)
    );
    if lines.len() + 1 > height {
        lines.truncate(height.saturating_sub(2));
        lines.push(&more);
    }
    // Each line replaces the one before it, so that nothing flickers.
    let lines: Vec<String> = lines.iter().map(|line| format!("{line}\x1b[K")).collect();
    write_raw(
        &mut io::stdout().lock(),
        &format!("\x1b[H{}\x1b[J", lines.join("\n")),
    )
}

/// `text` with everything escaped that could deceive, except the sequences of our own colours.
fn printable_but_colours(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    let mut parts = text.split(ESCAPE);
    printable += &printable_lines(parts.next().unwrap_or_default());
    for part in parts {
        let mut sequences = Colour::sequences();
        match sequences.find_map(|colour| Some((colour, part.strip_prefix(colour)?))) {
            Some((colour, rest)) => {
                printable.push(ESCAPE);
                printable += colour;
                printable += &printable_lines(rest);
            }
            None => printable += &printable_lines(&format!("{ESCAPE}{part}")),
        }
    }
    printable
}

/// Writes `text` and a line break to standard error. Errors are ignored: there is no other place to
/// report them.
pub fn note(text: &str) {
    let _ = write_line(&mut io::stderr().lock(), text);
}

/// Whether standard error is a terminal.
pub fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}

/// `text` from an untrusted source, safe to print on a terminal: without characters that could move the
/// cursor, change colours, or hide or reorder text, and with at most `length_max` characters.
pub fn printable(text: &str, length_max: usize) -> String {
    text.chars()
        .filter(|character| !is_deceptive(*character))
        .take(length_max)
        .collect()
}

fn write_line(to: &mut impl Write, text: &str) -> Result<(), OutputError> {
    // Whatever a part of it comes from. One write, so that lines of several processes are not mixed.
    write_raw(to, &printable_lines(text))
}

fn write_raw(to: &mut impl Write, text: &str) -> Result<(), OutputError> {
    to.write_all(format!("{text}\n").as_bytes())?;
    to.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A writer whose every write fails.
    struct Failing(ErrorKind);

    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_pipe_differs_from_other_errors() {
        let error = write_line(&mut Failing(ErrorKind::BrokenPipe), "a").unwrap_err();
        assert!(matches!(error, OutputError::Closed));
        let error = write_line(&mut Failing(ErrorKind::StorageFull), "a").unwrap_err();
        assert_eq!(error.to_string(), "write the output: no storage space");
    }

    #[test]
    fn each_text_ends_with_a_line_break() {
        let mut written = Vec::new();
        write_line(&mut written, "a").unwrap();
        write_line(&mut written, "b\nc").unwrap();
        assert_eq!(written, b"a\nb\nc\n");
        written.clear();
        write_line(&mut written, "a\x1b[2J\u{202e}b").unwrap();
        assert_eq!(written, b"a\\u{1b}[2J\\u{202e}b\n");
    }

    #[test]
    fn of_all_sequences_only_our_colours_reach_a_terminal() {
        assert_eq!(
            printable_but_colours("\x1b[31ma\x1b[0m\x1b[2J\x1b[8mb\n\x1b"),
            "\x1b[31ma\x1b[0m\\u{1b}[2J\\u{1b}[8mb\n\\u{1b}"
        );
    }

    #[test]
    fn printable_text_has_no_control_characters_and_a_limited_length() {
        assert_eq!(printable("a\x1b[31mb\r\nc\u{9b}d", 99), "a[31mbcd");
        assert_eq!(printable("a\u{202e}b\u{2028}\u{200b}c", 99), "abc");
        assert_eq!(printable(&"é".repeat(100), 3), "ééé");
    }
}
