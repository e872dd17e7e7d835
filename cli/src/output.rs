//! The one way out: what a script reads goes to standard output, what a person is told to standard
//! error.
//!
//! Owns what happens when nobody reads any more: a closed pipe, as of `ci-runners status | head
//! -1`, is the end of a command and not a fault. `println!` would panic there, so nothing in this
//! crate uses it. Never waits, and decides nothing about what is said.

use std::io::{self, ErrorKind, IsTerminal, Write};

/// Why nothing more can be printed.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// Whoever read the output has gone: there is nobody left to serve.
    #[error("write the output: nobody reads it any more")]
    Closed,
    /// It could not be written: a full disk, for example.
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

/// Prints `text` and a line break to standard output, at once.
///
/// # Errors
/// When nobody reads it, or it cannot be written.
pub fn print(text: &str) -> Result<(), OutputError> {
    write_line(&mut io::stdout().lock(), text)
}

/// Prints `text` and a line break to standard error. If nobody reads that, nobody is told.
pub fn note(text: &str) {
    let _ = write_line(&mut io::stderr().lock(), text);
}

/// Whether somebody looks at standard error as it is written.
pub fn is_watched() -> bool {
    io::stderr().is_terminal()
}

/// `text`, as it came from elsewhere, fit for a terminal: no control characters, which could move
/// the cursor or colour what follows, and no more than `length_max` characters.
pub fn printable(text: &str, length_max: usize) -> String {
    text.chars()
        .filter(|character| !character.is_control())
        .take(length_max)
        .collect()
}

fn write_line(to: &mut impl Write, text: &str) -> Result<(), OutputError> {
    // One write, so that lines of several processes do not mix.
    to.write_all(format!("{text}\n").as_bytes())?;
    to.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A writer that fails in one way.
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
    fn a_closed_pipe_is_told_from_a_failure() {
        let error = write_line(&mut Failing(ErrorKind::BrokenPipe), "a").unwrap_err();
        assert!(matches!(error, OutputError::Closed));
        let error = write_line(&mut Failing(ErrorKind::StorageFull), "a").unwrap_err();
        assert_eq!(error.to_string(), "write the output: no storage space");
    }

    #[test]
    fn each_text_is_a_line_of_its_own() {
        let mut written = Vec::new();
        write_line(&mut written, "a").unwrap();
        write_line(&mut written, "b\nc").unwrap();
        assert_eq!(written, b"a\nb\nc\n");
    }

    #[test]
    fn what_others_say_cannot_play_with_the_terminal() {
        assert_eq!(printable("a\x1b[31mb\r\nc\u{9b}d", 99), "a[31mbcd");
        assert_eq!(printable(&"é".repeat(100), 3), "ééé");
    }
}
