//! The last lines of a guest's output, as they may be kept and shown to operators.
//!
//! Responsible for how much of it is kept, and that long words are left out: among them are the guest's
//! secret, the JIT configuration and tokens. Other secrets that a guest prints are not recognised, so the
//! lines are shown to readers with a token only.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use shared::text::printable;

/// How many lines are kept.
const LINES_MAX: usize = 20;
/// How many lines are shown on request.
const CONSOLE_LINES_MAX: usize = 200;
/// Maximum length of a line that is kept, in characters.
const LINE_LENGTH_MAX: usize = 300;
/// Minimum length of a word that may be a secret. Guest secrets have 43 characters, tokens of GitHub 40,
/// the label of a runner has 36.
const SECRET_LENGTH_MIN: usize = 32;
/// Maximum number of bytes that are read of a log.
const READ_MAX: u64 = 1 << 16;

/// The end of a file, at most 64 KiB. Blocks.
pub fn end_of(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(READ_MAX)))?;
    let mut end = Vec::new();
    file.take(READ_MAX).read_to_end(&mut end)?;
    Ok(end)
}

/// The last lines that are not empty.
pub fn last_lines(output: &[u8]) -> Vec<String> {
    lines_at_end(output, LINES_MAX)
}

/// As many of the last lines as an operator is shown on request.
pub fn console_lines(output: &[u8]) -> Vec<String> {
    lines_at_end(output, CONSOLE_LINES_MAX)
}

fn lines_at_end(output: &[u8], count_max: usize) -> Vec<String> {
    let text = String::from_utf8_lossy(output);
    let lines = text.lines().map(str::trim_end);
    let lines: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    let first = lines.len().saturating_sub(count_max);
    lines[first..].iter().map(|line| kept(line)).collect()
}

fn kept(line: &str) -> String {
    let line = without_long_words(line);
    let mut shown: String = line.chars().take(LINE_LENGTH_MAX).collect();
    if shown.len() < line.len() {
        shown.push('…');
    }
    printable(&shown).into_owned()
}

fn without_long_words(line: &str) -> String {
    let is_part = |character: char| {
        character.is_ascii_alphanumeric() || matches!(character, '+' | '/' | '=' | '_' | '-' | '.')
    };
    let mut shown = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let is_word = is_part(first);
        let end = rest.find(|character| is_part(character) != is_word);
        let (part, behind) = rest.split_at(end.unwrap_or(rest.len()));
        match is_word && part.len() >= SECRET_LENGTH_MIN {
            true => shown.push_str("[left out]"),
            false => shown.push_str(part),
        }
        rest = behind;
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_and_empty_ones_are_not() {
        let output: String = (0..50).map(|number| format!("line {number}\n\n")).collect();
        let lines = last_lines(output.as_bytes());
        assert_eq!(lines.len(), LINES_MAX);
        assert_eq!(lines[0], "line 30");
        assert_eq!(lines[LINES_MAX - 1], "line 49");
        assert_eq!(last_lines(b""), [""; 0]);
        assert_eq!(last_lines(b"\xff no end"), ["\u{fffd} no end"]);
    }

    #[test]
    fn words_that_may_be_secrets_are_left_out() {
        let secret = "x".repeat(SECRET_LENGTH_MIN);
        let short = "x".repeat(SECRET_LENGTH_MIN - 1);
        for (line, expected) in [
            (format!("token={secret}"), "[left out]".to_owned()),
            (
                format!("\"{secret}\", end"),
                "\"[left out]\", end".to_owned(),
            ),
            (format!("ä {short} ö"), format!("ä {short} ö")),
            (
                "runner:8b0c2fd6-4a7c-4f9e-9d3e-0d2f5a0f3c11".to_owned(),
                "runner:[left out]".to_owned(),
            ),
        ] {
            assert_eq!(last_lines(line.as_bytes()), [expected], "{line}");
        }
    }

    #[test]
    fn a_long_line_is_cut_and_deceptive_characters_are_escaped() {
        let long = "ä ".repeat(LINE_LENGTH_MAX);
        let lines = last_lines(long.as_bytes());
        assert_eq!(lines[0].chars().count(), LINE_LENGTH_MAX + 1);
        assert_eq!(last_lines(b"\x1b[31mred"), ["\\u{1b}[31mred"]);
    }

    #[test]
    fn of_a_long_file_the_end_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let lines = "0123456789\n".repeat(20_000) + "the end\n";
        std::fs::write(&path, lines).unwrap();
        let lines = last_lines(&end_of(&path).unwrap());
        assert_eq!(lines.last().map(String::as_str), Some("the end"));
    }
}
