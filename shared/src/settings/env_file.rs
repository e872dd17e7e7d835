//! The format of `.env`: assignments of variables, whose values are kept as they are written.
//!
//! Responsible for a format that the other readers of such files understand in the same way: systemd's
//! `EnvironmentFile=`, `docker --env-file` and the crate `dotenv`. Not responsible for what the variables
//! mean. Nothing is ever substituted: a token may contain `$`.
//!
//! | written | value |
//! | --- | --- |
//! | `A=correct$horse` | `correct$horse` |
//! | `A=b#c`, `A=#c` | `b#c`, `#c` |
//! | `A=b # c` | `b`: a comment begins with a `#` after a blank |
//! | `A= b c ` | `b c`: blanks around a value are left out |
//! | `A='b $c # d'` | `b $c # d` |
//! | `A="b \"c\" $d"` | `b "c" $d` |
//! | `A=b\$c` | `b$c`: a backslash before one of ``\ $ " ' ` #`` or a blank is left out |
//! | `A=C:\a` | `C:\a`: every other backslash is kept |

/// Name and value of a variable.
type Assignment = (String, String);

/// A line that is no assignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InvalidLine {
    /// Counted from 1. Of a quoted value, the line in which it begins.
    pub(super) line: usize,
    /// What is wrong with it, without its content, which may be a secret.
    pub(super) problem: &'static str,
}

/// Parses all assignments in `text`, in their order.
pub(super) fn parse(text: &str) -> Result<Vec<Assignment>, InvalidLine> {
    // Some editors write a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut assignments = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let line = 1 + text[..text.len() - rest.len()].matches('\n').count();
        let parsed = next_assignment(rest).map_err(|problem| InvalidLine { line, problem })?;
        assignments.extend(parsed.0);
        rest = parsed.1;
    }
    Ok(assignments)
}

const NOT_ASSIGNMENT: &str = "not of the form NAME=value";

/// Parses the line at the start of `text`, or the lines that a quoted value spans: the assignment, if it is
/// one rather than blank or a comment, and the lines behind it.
fn next_assignment(text: &str) -> Result<(Option<Assignment>, &str), &'static str> {
    let (line, after) = text.split_once('\n').unwrap_or((text, ""));
    if line.trim().is_empty() || line.trim().starts_with(['#', ';']) {
        return Ok((None, after));
    }
    let (name, value) = line.split_once('=').ok_or(NOT_ASSIGNMENT)?;
    let name = name.trim();
    let name = match name.strip_prefix("export") {
        Some(exported) if exported.starts_with([' ', '\t']) => exported.trim_start(),
        _ => name,
    };
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.');
    if name.is_empty() || !name.bytes().all(is_allowed) {
        return Err(NOT_ASSIGNMENT);
    }
    let value = value.trim_start();
    let (value, after) = match value.chars().next() {
        Some(quote @ ('"' | '\'')) => quoted(quote, &text[line.len() - value.len() + 1..])?,
        // With the blanks before it: they decide whether a `#` begins a comment.
        _ => (
            unquoted(&line[line.find('=').map_or(0, |index| index + 1)..]),
            after,
        ),
    };
    Ok((Some((name.to_owned(), value)), after))
}

/// The value that `text` begins with and `quote` ends, and the lines behind it.
fn quoted(quote: char, text: &str) -> Result<(String, &str), &'static str> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    let end = loop {
        let (index, character) = characters
            .next()
            .ok_or("the quote at the start of the value is not closed")?;
        match character {
            _ if character == quote => break index + 1,
            '\\' if quote == '"' => match characters.next() {
                Some((_, escaped @ ('\\' | '"' | '$' | '`' | '\'' | ' '))) => value.push(escaped),
                Some((_, 'n')) => value.push('\n'),
                // A continued line.
                Some((_, '\n')) => {}
                other => {
                    value.push('\\');
                    value.extend(other.map(|(_, kept)| kept));
                }
            },
            _ => value.push(character),
        }
    };
    let (behind, after) = text[end..].split_once('\n').unwrap_or((&text[end..], ""));
    let comment = behind.trim();
    // As in unquoted values, a comment begins after a blank.
    let is_comment = comment.starts_with('#') && behind.starts_with([' ', '\t']);
    if !comment.is_empty() && !is_comment {
        return Err("text follows the closing quote of the value");
    }
    Ok((value, after))
}

/// The value in `text`, which is the rest of a line behind its `=`.
fn unquoted(text: &str) -> String {
    let mut value = String::new();
    // How much of the value is kept: all but the blanks at its end, unless they are escaped.
    let mut length = 0;
    let mut is_after_blank = false;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let is_blank = character.is_ascii_whitespace();
        match character {
            '#' if is_after_blank => break,
            '\\' => {
                let escaped = characters
                    .next_if(|next| matches!(next, '\\' | '$' | '"' | '\'' | '`' | '#' | ' '));
                value.push(escaped.unwrap_or('\\'));
                length = value.len();
            }
            _ if is_blank && value.is_empty() => {}
            _ => {
                value.push(character);
                if !is_blank {
                    length = value.len();
                }
            }
        }
        is_after_blank = is_blank;
    }
    value.truncate(length);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The value of `A` in a file that contains this line between two others.
    #[track_caller]
    fn value_of(line: &str) -> String {
        let text = format!("BEFORE='b'\n{line}\nAFTER=a\n");
        let assignments = parse(&text).unwrap();
        let [before, (name, value), after] = &assignments[..] else {
            panic!("{line}: {assignments:?}");
        };
        let others = [before, after].map(|(name, value)| format!("{name}={value}"));
        assert_eq!(
            (&others[..], &**name),
            (&["BEFORE=b".into(), "AFTER=a".into()][..], "A")
        );
        value.clone()
    }

    #[test]
    fn a_value_is_kept_as_it_is_written() {
        for value in [
            "correct$horse",
            "$horse",
            "correct$",
            "$$",
            "${HOME}",
            "a${BEFORE}b$BEFORE",
            "$(id)",
            "`id`",
            "a#b",
            "#a",
            "a=b==",
            "=",
            "a;b",
            "a\"b\"c",
            "it's",
            "a'",
            "a!b%c^d&e*f(g)",
            "C:\\a",
            "a\\nb",
            "a b  c",
            "[\"127.0.0.1\", \"::1\"]",
            "github_pat_0123/+=~",
            "é",
        ] {
            assert_eq!(value_of(&format!("A={value}")), value);
            if !value.starts_with('#') {
                assert_eq!(value_of(&format!("A = {value}\t ")), value, "blanks");
            }
            assert_eq!(value_of(&format!("export A={value}\r")), value, "CRLF");
            if !value.contains('\'') {
                assert_eq!(value_of(&format!("A='{value}'")), value, "single quotes");
            }
            if !value.contains(['"', '\\']) {
                assert_eq!(value_of(&format!("A=\"{value}\"")), value, "double quotes");
            }
        }
    }

    #[test]
    fn quotes_comments_and_escapes_are_no_part_of_a_value() {
        for (line, value) in [
            ("A=", ""),
            ("A= ", ""),
            ("A=''", ""),
            ("A=\"\"", ""),
            ("A=b # c", "b"),
            ("A=b\t# c", "b"),
            ("A=b #", "b"),
            ("A= # c", ""),
            ("A='b # c' # d", "b # c"),
            ("A=\"b # c\"\t# d", "b # c"),
            ("A=' b '", " b "),
            ("A='b\"c'", "b\"c"),
            ("A='b\\'", "b\\"),
            ("A=\"b'c\"", "b'c"),
            ("A=\"b\\\"c\\\\d\\$e\\`\"", "b\"c\\d$e`"),
            ("A=\"b\\nc\"", "b\nc"),
            ("A=\"C:\\a\"", "C:\\a"),
            ("A=correct\\$horse", "correct$horse"),
            ("A=b\\ \\#c\\\\", "b #c\\"),
            ("A=b\\", "b\\"),
            ("A='b\nc'", "b\nc"),
            ("A=\"b\\\nc\"", "bc"),
            ("\texport\tA='b'  ", "b"),
        ] {
            assert_eq!(value_of(line), value, "{line}");
        }
        let exported = parse("exportA=b\nexport=c").unwrap();
        let names: Vec<&str> = exported.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, ["exportA", "export"]);
    }

    #[test]
    fn a_file_may_have_a_byte_order_mark_comments_and_other_line_ends() {
        let text = "\u{feff}A=b\r\n\r\n  # C=d\r\n; E=f\r\nG='h'\r\nI=j # k\r\nL=m";
        let expected = [("A", "b"), ("G", "h"), ("I", "j"), ("L", "m")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(parse(text), Ok(expected.to_vec()));
        assert_eq!(parse(""), Ok(Vec::new()));
        assert_eq!(parse("\u{feff}"), Ok(Vec::new()));
    }

    #[test]
    fn what_is_no_assignment_is_refused_with_its_line() {
        let unclosed = "the quote at the start of the value is not closed";
        let behind = "text follows the closing quote of the value";
        for (text, line, problem) in [
            ("hunter2", 1, NOT_ASSIGNMENT),
            ("A=b\n\nhunter2\nC=d\n", 3, NOT_ASSIGNMENT),
            ("A=b\nC D=e", 2, NOT_ASSIGNMENT),
            ("A='b\nc'\n=d", 3, NOT_ASSIGNMENT),
            ("A-B=c", 1, NOT_ASSIGNMENT),
            ("export A", 1, NOT_ASSIGNMENT),
            ("A=b\nC='hunter2\nD=e\n", 2, unclosed),
            ("A=\"b\\\"", 1, unclosed),
            ("A='hunter2'b", 1, behind),
            ("A=\"hunter2\"#b", 1, behind),
        ] {
            assert_eq!(parse(text), Err(InvalidLine { line, problem }), "{text}");
        }
    }
}
