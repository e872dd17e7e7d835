//! Asks a person before something is destroyed or changed.

use std::io::{self, BufRead};

use crate::{failure::Failure, output};

/// The longest answer that is read, in bytes.
const ANSWER_MAX: u64 = 64;

/// Asks `question` on standard error, and reads the answer from standard input.
///
/// # Errors
/// When the answer is not yes; `purpose` is a fragment that follows "failed to".
pub fn ask(question: &str, purpose: &str) -> Result<(), Failure> {
    output::note(&format!("{question}? [y/N]"));
    match is_yes(io::stdin().lock()) {
        true => Ok(()),
        false => Err(Failure::Other(format!(
            "{purpose}: it was not confirmed; answer y, or use --yes"
        ))),
    }
}

/// Whether the answer is yes. The end of the input is no answer.
fn is_yes(input: impl BufRead) -> bool {
    let mut answer = String::new();
    let read = input.take(ANSWER_MAX).read_line(&mut answer);
    let answer = answer.trim();
    read.is_ok() && (answer.eq_ignore_ascii_case("y") || answer.eq_ignore_ascii_case("yes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_a_confirmation() {
        for answer in ["y\n", "Y\r\n", "yes\n", "YES", " y "] {
            assert!(is_yes(answer.as_bytes()), "{answer:?}");
        }
        let long = format!("{}y", " ".repeat(100));
        for answer in ["", "\n", "n\n", "no\n", "yy\n", "\ny\n", &long] {
            assert!(!is_yes(answer.as_bytes()), "{answer:?}");
        }
        assert!(!is_yes(&b"y\xff\n"[..]));
    }
}
